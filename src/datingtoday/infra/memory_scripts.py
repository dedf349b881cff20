"""Scripts that Redis runs for `memory.py`: each compares the marker with the process that runs it."""

from __future__ import annotations

from datingtoday.infra.redis import Script

# KEYS: marker, names…; ARGV: run id ('' asks the server itself). Answers the run id, and marker and values.
READ = """
local here = ARGV[1]
if here == '' then here = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') end
return {here, redis.call('MGET', unpack(KEYS))}
"""

# KEYS: marker, names…; ARGV: run id, epoch, what to put ('' deletes), its life in ms. Does nothing and answers 0 if
# this is not that epoch.
WRITE = Script(
    """
    local here = ARGV[1]
    if here == '' then here = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') end
    if redis.call('GET', KEYS[1]) ~= here .. '|' .. ARGV[2] then return 0 end
    for i = 2, #KEYS do
        if ARGV[3] == '' then redis.call('DEL', KEYS[i])
        else redis.call('SET', KEYS[i], ARGV[3], 'PX', ARGV[4]) end
    end
    return 1
    """
)

# KEYS: marker; ARGV: run id, the holder and the epoch that SQL has, a fresh epoch. Answers the run id and the epoch,
# which is the fresh one unless marker, SQL and process agree.
BIND = Script(
    """
    local here = ARGV[1]
    if here == '' then here = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') end
    if ARGV[2] == here and redis.call('GET', KEYS[1]) == here .. '|' .. ARGV[3] then return {here, ARGV[3]} end
    redis.call('SET', KEYS[1], here .. '|' .. ARGV[4])
    return {here, ARGV[4]}
    """
)

# KEYS: marker; ARGV: run id, the holder and the epoch that SQL has. Whether marker, SQL and process agree.
IS_BOUND = Script(
    """
    local here = ARGV[1]
    if here == '' then here = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') end
    if ARGV[2] == here and redis.call('GET', KEYS[1]) == here .. '|' .. ARGV[3] then return 1 end
    return 0
    """
)
