//! Webhooks: the endpoints of a project, the messages about its videos, and their deliveries.
