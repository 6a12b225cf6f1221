"""Gates for whoever runs the bot: stop rules and warnings as alerts of Prometheus, thresholds on a dashboard.

Everything is generated from two texts: the gate files, and the table of metrics that the bot exports. Nothing
here knows the names of its metrics: they are found by the rows and fields that they are made from
(`exports`), which docs/run-directory.md makes a public interface.
"""
