from karbor_like_dashboard import exceptions

DASHBOARD = "data_protection"
ADD_INSTALLED_APPS = ["karbor_like_dashboard"]
ADD_EXCEPTIONS = {"recoverable": exceptions.RECOVERABLE}
ADD_JS_FILES = ["karbor_like_dashboard/karbor_like.js"]
ADD_SCSS_FILES = ["karbor_like_dashboard/karbor_like.scss"]
