"""The REST API in gunicorn: ``gunicorn --config karbor_like_api.py``."""

wsgi_app = "karbor_like.wsgi:application"
bind = ["0.0.0.0:8799"]
workers = 2
# As many as [api] threads. The application needs threads, not eventlet or gevent.
worker_class = "gthread"
threads = 16
# Each process connects to the database and the message bus itself.
preload_app = False
# Seconds without a sign of life after which a process is replaced
timeout = 60
# Seconds in which requests in flight may end: longer than [api] request_timeout.
graceful_timeout = 125
# Tokens are longer than the default of 8190 bytes.
limit_request_field_size = 65535
