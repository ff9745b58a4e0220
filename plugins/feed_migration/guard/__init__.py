"""The guard: a small process beside the fleet that makes the way back certain.

    knowledge   what it must know of the migration, and its copy on disk
    follower    the journal, read on from where it was last
    decision    knowledge and clocks → rest, watch or revert. Pure
    lease_clock how long a lease still holds, by a clock that nobody sets
    watch       judges exposed instances while nobody else does
    watcher     the watch beside the loop, and another one where it hangs
    process     the loop
    redeployed  the loop over deployment.yaml as it is now
    endpoints   /healthz and /metrics

It promotes nothing and renews nothing. See docs/guard.md.
"""
