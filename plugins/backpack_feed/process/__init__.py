"""The FeedHandler process around either feed: configuration, sinks, metrics, endpoints."""
