"""Runs in parts on a cluster: each part is a shard, played by whichever worker is free, and what it adds up
to comes back.

    driver                                      worker
    options, gate, request      -- Shard -->    the part is played and watched as anywhere
    manifest, tally, watch      <- Summary --   its run directory goes whole to the shared place, or stays

The driver puts the summaries together as those of parts that were played here, so verdict and digest are
the same.
"""
