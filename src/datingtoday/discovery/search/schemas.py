"""Parameters of search."""

from __future__ import annotations

from datingtoday.profiles import enumerations as numbers
from datingtoday.protocol.fields import Id, Integer, Number, TextLine
from datingtoday.protocol.paging import PageParams

MAX_AGE = 150


class SearchParams(PageParams):
    """Any of them; who is found fulfils all that are given."""

    nickname = TextLine(most=numbers.NICKNAME_CHARS, load_default=None)
    gender = Number(numbers.GENDER.names, load_default=None)
    age_min = Integer(least=0, most=MAX_AGE, data_key="ageMin", load_default=None)
    age_max = Integer(least=0, most=MAX_AGE, data_key="ageMax", load_default=None)
    height_min = Integer(least=0, most=numbers.HEIGHT_CM[1], data_key="heightMin", load_default=None)
    height_max = Integer(least=0, most=numbers.HEIGHT_CM[1], data_key="heightMax", load_default=None)
    education = Number(numbers.EDUCATION.names, load_default=None)
    emotion = Number(numbers.EMOTION.names, load_default=None)
    salary_min = Number(numbers.SALARY.names, data_key="salaryMin", load_default=None)
    label_id = Id(data_key="labelId", load_default=None)
