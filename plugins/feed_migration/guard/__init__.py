"""The guard: a small process beside the fleet that makes the way back certain.

    knowledge   what it must know of the migration, and its copy on disk
    follower    the journal, read on from where it was last
    decision    knowledge and clocks → rest, watch or revert. Pure
    lease_clock how long a lease still holds, by a clock that nobody sets
    watch       judges exposed instances while nobody else does
    watcher     the watch beside the loop, and another one where it hangs
    gate_reader the measurements of the open gate, read beside the loop
    sight       what all of these see, as one value
    process     the loop
    redeployed  the loop over deployment.yaml as it is now
    metrics     that value for Prometheus, with migration_metrics and gate_metrics
    endpoints   /healthz and /metrics
    answer      what /healthz says, in a line for who asks
    asking      asks it, from a shell or the console

It promotes nothing and renews nothing. See docs/guard.md.
"""
