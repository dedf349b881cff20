"""The settings of hot list, search and nearby. Adding one is adding a line and running `datingtoday docs write`."""

from datingtoday.infra.config.fields import Section, key


class DiscoverySection(Section):
    """Hot list and people nearby."""

    hot_half_life_days: float = key(
        7.0,
        ge=0.5,
        le=90,
        en="Half-life of attention, in days; after a change run `datingtoday hot rebuild`.",
        zh="互动分值减半所需的天数；修改后请运行 `datingtoday hot rebuild`。",
    )
    hot_people_per_day: int = key(
        200,
        ge=1,
        le=100_000,
        en="Maximum number of different users whose attention counts for one user per day.",
        zh="每人每天最多计入多少个不同用户的互动。",
    )
    hot_giver_days: int = key(
        7,
        ge=0,
        le=90,
        en="Days before a new account's attention begins to count for others; it counts in full after "
        "four times as long. "
        "0: at once.",
        zh="账号注册满多少天后，其互动开始计入他人的热度，满四倍天数后全额计入；0 表示立即全额计入。",
    )
    hot_personal: bool = key(
        True,
        en="Filter the hot list by whom each user wants to meet; 0: the same list for everybody.",
        zh="热门推荐是否依据想认识的性别筛选；0 表示所有人看到相同的列表。",
    )
    hot_refresh_s: int = key(
        300,
        ge=1,
        le=3600,
        en="Most seconds between two editions of the hot list; fewer where making one is cheap.",
        zh="热门推荐两期之间最多间隔的秒数；生成代价低时间隔更短。",
    )
    hot_size: int = key(
        10_000,
        ge=100,
        le=100_000,
        en="Maximum number of people in a hot list.",
        zh="热门推荐列表的最大人数。",
    )
    nearby_active_days: int = key(
        30,
        ge=1,
        le=365,
        en="Users inactive for more than this many days are not shown nearby.",
        zh="多少天未使用应用的人不再出现在“附近的人”中。",
    )
    nearby_grid_m: int = key(
        2200,
        ge=20,
        le=20_000,
        en="Size of the location squares, in metres; locations are not known more precisely. The smaller, "
        "the more exactly people can "
        "be located. After a change run `datingtoday nearby rebuild`.",
        zh="位置网格的边长（米），他人只能得知所在网格，越小越易被定位；修改后请运行 `datingtoday nearby rebuild`。",
    )
    nearby_edge_m: int = key(
        200,
        ge=0,
        le=5000,
        en="Metres outside a square within which a user still counts as inside it.",
        zh="越过网格边缘多少米以内仍视为在原网格中。",
    )
    nearby_move_delay_s: int = key(
        600,
        ge=0,
        le=86_400,
        en="A move to another square takes effect after a random delay of 50 % to 150 % of this many "
        "seconds; 0: at once.",
        zh="移动到其他网格后，随机延迟该秒数的 0.5 到 1.5 倍才生效；0 表示立即生效。",
    )
