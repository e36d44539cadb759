"""All routes of version 1, below ``/v1/{project_id}``: the one table of URLs."""

from collections.abc import Sequence

from karbor_like.api.controllers.routing import Route
from karbor_like.api.controllers.v1.checkpoints import Checkpoints
from karbor_like.api.controllers.v1.copies import Copies
from karbor_like.api.controllers.v1.health import Health
from karbor_like.api.controllers.v1.operation_logs import OperationLogs
from karbor_like.api.controllers.v1.overview import Overview
from karbor_like.api.controllers.v1.plans import Plans
from karbor_like.api.controllers.v1.protectables import Protectables
from karbor_like.api.controllers.v1.providers import Providers
from karbor_like.api.controllers.v1.quota_classes import QuotaClasses
from karbor_like.api.controllers.v1.quotas import Quotas
from karbor_like.api.controllers.v1.restores import Restores
from karbor_like.api.controllers.v1.scheduled_operations import ScheduledOperations
from karbor_like.api.controllers.v1.services import Services
from karbor_like.api.controllers.v1.triggers import Triggers
from karbor_like.api.controllers.v1.verifications import Verifications

_CHECKPOINTS = "/providers/{provider_id}/checkpoints"
_INSTANCES = "/protectables/{protectable_type}/instances"

ROUTES: Sequence[Route] = (
    Route("GET", "/plans", Plans, "list"),
    Route("POST", "/plans", Plans, "create"),
    Route("GET", "/plans/{plan_id}", Plans, "show"),
    Route("PUT", "/plans/{plan_id}", Plans, "update"),
    Route("DELETE", "/plans/{plan_id}", Plans, "delete"),
    Route("GET", "/providers", Providers, "list"),
    Route("GET", "/providers/{provider_id}", Providers, "show"),
    Route("GET", _CHECKPOINTS, Checkpoints, "list"),
    Route("POST", _CHECKPOINTS, Checkpoints, "create"),
    Route("POST", f"{_CHECKPOINTS}/action", Copies, "create"),
    Route("GET", f"{_CHECKPOINTS}/{{checkpoint_id}}", Checkpoints, "show"),
    Route("PUT", f"{_CHECKPOINTS}/{{checkpoint_id}}", Checkpoints, "reset"),
    Route("DELETE", f"{_CHECKPOINTS}/{{checkpoint_id}}", Checkpoints, "delete"),
    Route("GET", "/protectables", Protectables, "list"),
    Route("GET", "/protectables/{protectable_type}", Protectables, "show"),
    Route("GET", _INSTANCES, Protectables, "list_instances"),
    Route("GET", f"{_INSTANCES}/{{resource_id}}", Protectables, "show_instance"),
    Route("GET", "/restores", Restores, "list"),
    Route("POST", "/restores", Restores, "create"),
    Route("GET", "/restores/{restore_id}", Restores, "show"),
    Route("DELETE", "/restores/{restore_id}", Restores, "cancel"),
    Route("GET", "/verifications", Verifications, "list"),
    Route("POST", "/verifications", Verifications, "create"),
    Route("GET", "/verifications/{verification_id}", Verifications, "show"),
    Route("DELETE", "/verifications/{verification_id}", Verifications, "cancel"),
    Route("GET", "/triggers", Triggers, "list"),
    Route("POST", "/triggers", Triggers, "create"),
    Route("GET", "/triggers/{trigger_id}", Triggers, "show"),
    Route("PUT", "/triggers/{trigger_id}", Triggers, "update"),
    Route("DELETE", "/triggers/{trigger_id}", Triggers, "delete"),
    Route("GET", "/scheduled_operations", ScheduledOperations, "list"),
    Route("POST", "/scheduled_operations", ScheduledOperations, "create"),
    Route("GET", "/scheduled_operations/{scheduled_operation_id}", ScheduledOperations, "show"),
    Route("PUT", "/scheduled_operations/{scheduled_operation_id}", ScheduledOperations, "update"),
    Route("DELETE", "/scheduled_operations/{scheduled_operation_id}", ScheduledOperations, "delete"),
    Route("POST", "/scheduled_operations/{scheduled_operation_id}/action", ScheduledOperations, "run"),
    Route("GET", "/scheduled_operations/{scheduled_operation_id}/retention", ScheduledOperations, "retention"),
    Route("GET", "/operation_logs", OperationLogs, "list"),
    Route("GET", "/operation_logs/{operation_log_id}", OperationLogs, "show"),
    Route("GET", "/overview", Overview, "show"),
    Route("GET", "/health", Health, "show"),
    Route("GET", "/os-services", Services, "list"),
    Route("PUT", "/os-services/{service_id}", Services, "update"),
    Route("GET", "/quotas/{target_project_id}", Quotas, "show"),
    Route("PUT", "/quotas/{target_project_id}", Quotas, "update"),
    Route("DELETE", "/quotas/{target_project_id}", Quotas, "delete"),
    Route("GET", "/quotas/{target_project_id}/detail", Quotas, "detail"),
    Route("GET", "/quotas/{target_project_id}/defaults", Quotas, "defaults"),
    Route("GET", "/quota_classes/{class_name}", QuotaClasses, "show"),
    Route("PUT", "/quota_classes/{class_name}", QuotaClasses, "update"),
)
