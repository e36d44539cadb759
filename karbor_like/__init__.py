"""karbor_like: application data protection as a service for OpenStack."""
