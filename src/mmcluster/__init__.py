"""Tasks on many machines, by Dask: what a bot and its gates share, and neither knows of the other.

A task is a name, a function by its import string, and a payload of built-in types; what comes back is what
the function returned. Who played it, when and beside what changes nothing: a task that draws, draws by its
payload. Dask is imported when a cluster is asked for; without one the tasks are played here, one after the
other.
"""

from mmcluster.address import cluster_argument, is_local
from mmcluster.errors import ClusterError, ClusterLostError
from mmcluster.facts import common_facts, file_fact
from mmcluster.opening import Cluster, open_cluster
from mmcluster.tasks import Failed, Finished, Task

__all__ = [
    "Cluster",
    "ClusterError",
    "ClusterLostError",
    "Failed",
    "Finished",
    "Task",
    "cluster_argument",
    "common_facts",
    "file_fact",
    "is_local",
    "open_cluster",
]
