BEGIN TRANSACTION;
CREATE TABLE checkpoints (
	id VARCHAR(36) NOT NULL, 
	project_id VARCHAR(64) NOT NULL, 
	provider_id VARCHAR(36) NOT NULL, 
	plan_id VARCHAR(36) NOT NULL, 
	status VARCHAR(32) NOT NULL, 
	reason TEXT, 
	"plan" JSON NOT NULL, 
	resource_graph TEXT NOT NULL, 
	extra_info JSON NOT NULL, 
	logical_bytes BIGINT, 
	new_bytes BIGINT, 
	stored_bytes BIGINT, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME, 
	deleted_at DATETIME, 
	PRIMARY KEY (id)
);
INSERT INTO "checkpoints" VALUES('5f0c1c9e-8d5b-4a55-9d1b-0e8f5a1d7c01','b7a1c2d3e4f5460718293a4b5c6d7e8f','cf56bd3e-97a7-4078-b6d5-f36246333fd9','2f5d1c7a-6c57-4a2b-8f3e-7d9c1b0a4e12','available',NULL,'{"id": "2f5d1c7a-6c57-4a2b-8f3e-7d9c1b0a4e12", "name": "nightly", "resources": [{"type": "OS::Cinder::Volume", "id": "8e3f1d2c-5555-4b7a-9c0d-000000000001", "name": "disk \u00fc", "extra_info": {"availability_zone": "nova"}}]}','[]','{"created_by": "manual"}',8589934592,4096,1024,'2026-01-02 03:04:05.000006',NULL,NULL);
CREATE TABLE idempotency_keys (
	project_id VARCHAR(64) NOT NULL, 
	"key" VARCHAR(255) NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	resource_id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (project_id, "key")
);
CREATE TABLE journal_entries (
	operation_id VARCHAR(36) NOT NULL, 
	resource_key VARCHAR(255) NOT NULL, 
	role VARCHAR(64) NOT NULL, 
	seq INTEGER NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	cloud_id VARCHAR(255), 
	keep BOOLEAN NOT NULL, 
	gone BOOLEAN NOT NULL, 
	PRIMARY KEY (operation_id, resource_key, role), 
	FOREIGN KEY(operation_id) REFERENCES operations (id) ON DELETE CASCADE
);
INSERT INTO "journal_entries" VALUES('0c9b8a7d-1111-4e2f-9a3b-000000000001','OS::Cinder::Volume#8e3f1d2c-5555-4b7a-9c0d-000000000001','snapshot',1,'karbor-snapshot-1','11111111-aaaa-4bbb-8ccc-000000000001',0,1);
CREATE TABLE karbor_like_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT karbor_like_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "karbor_like_version" VALUES('0019');
CREATE TABLE operation_resources (
	operation_id VARCHAR(36) NOT NULL, 
	resource_key VARCHAR(255) NOT NULL, 
	status VARCHAR(32) NOT NULL, 
	step VARCHAR(255), 
	reason TEXT, 
	result_key VARCHAR(255), 
	bytes_done BIGINT NOT NULL, 
	bytes_total BIGINT, 
	logical_bytes BIGINT, 
	new_bytes BIGINT, 
	stored_bytes BIGINT, 
	updated_at DATETIME, 
	PRIMARY KEY (operation_id, resource_key), 
	FOREIGN KEY(operation_id) REFERENCES operations (id) ON DELETE CASCADE
);
INSERT INTO "operation_resources" VALUES('0c9b8a7d-1111-4e2f-9a3b-000000000001','OS::Cinder::Volume#8e3f1d2c-5555-4b7a-9c0d-000000000001','available',NULL,NULL,NULL,8589934592,8589934592,8589934592,4096,1024,'2026-11-28 07:14:41.858000');
CREATE TABLE operations (
	id VARCHAR(36) NOT NULL, 
	operation_type VARCHAR(32) NOT NULL, 
	project_id VARCHAR(64) NOT NULL, 
	user_id VARCHAR(64), 
	provider_id VARCHAR(36) NOT NULL, 
	plan_id VARCHAR(36), 
	checkpoint_id VARCHAR(36), 
	restore_id VARCHAR(36), 
	verification_id VARCHAR(36), 
	scheduled_operation_id VARCHAR(36), 
	parameters JSON NOT NULL, 
	credential TEXT, 
	flow_id VARCHAR(36), 
	state VARCHAR(16) NOT NULL, 
	status VARCHAR(32) NOT NULL, 
	owner VARCHAR(255), 
	epoch INTEGER NOT NULL, 
	lease_until DATETIME, 
	attempts INTEGER NOT NULL, 
	cancel_requested BOOLEAN NOT NULL, 
	error_info TEXT, 
	extra_info JSON, 
	created_at DATETIME NOT NULL, 
	started_at DATETIME, 
	ended_at DATETIME, source_checkpoint_id VARCHAR(36), 
	PRIMARY KEY (id)
);
INSERT INTO "operations" VALUES('0c9b8a7d-1111-4e2f-9a3b-000000000001','protect','b7a1c2d3e4f5460718293a4b5c6d7e8f','alice','cf56bd3e-97a7-4078-b6d5-f36246333fd9','2f5d1c7a-6c57-4a2b-8f3e-7d9c1b0a4e12','5f0c1c9e-8d5b-4a55-9d1b-0e8f5a1d7c01',NULL,NULL,NULL,'{}',NULL,NULL,'done','available','host:1:protection',1,NULL,1,0,NULL,NULL,'2026-01-02 03:04:05.000006','2026-11-28 07:14:41.792000','2026-11-28 07:14:42.075000',NULL);
INSERT INTO "operations" VALUES('0c9b8a7d-1111-4e2f-9a3b-000000000002','restore','b7a1c2d3e4f5460718293a4b5c6d7e8f','alice','cf56bd3e-97a7-4078-b6d5-f36246333fd9',NULL,'5f0c1c9e-8d5b-4a55-9d1b-0e8f5a1d7c01','7e6d5c4b-2222-4a1b-8c9d-000000000001',NULL,NULL,'{}',NULL,NULL,'queued','in_progress',NULL,0,NULL,0,0,NULL,NULL,'2026-01-02 04:04:05.000006',NULL,NULL,NULL);
CREATE TABLE periodic_jobs (
	name VARCHAR(255) NOT NULL, 
	due_at DATETIME NOT NULL, 
	owner VARCHAR(255), 
	PRIMARY KEY (name)
);
CREATE TABLE plans (
	id VARCHAR(36) NOT NULL, 
	project_id VARCHAR(64) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	description VARCHAR(255), 
	provider_id VARCHAR(36) NOT NULL, 
	status VARCHAR(32) NOT NULL, 
	resources JSON NOT NULL, 
	parameters JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME, 
	PRIMARY KEY (id)
);
INSERT INTO "plans" VALUES('2f5d1c7a-6c57-4a2b-8f3e-7d9c1b0a4e12','b7a1c2d3e4f5460718293a4b5c6d7e8f','nightly',NULL,'cf56bd3e-97a7-4078-b6d5-f36246333fd9','started','[{"type": "OS::Cinder::Volume", "id": "8e3f1d2c-5555-4b7a-9c0d-000000000001", "name": "disk \u00fc", "extra_info": {"availability_zone": "nova"}}]','{"OS::Cinder::Volume": {"backup_mode": "full"}}','2026-01-02 03:04:05.000006',NULL);
CREATE TABLE quota_classes (
	class_name VARCHAR(255) NOT NULL, 
	resource VARCHAR(64) NOT NULL, 
	hard_limit BIGINT NOT NULL, 
	PRIMARY KEY (class_name, resource)
);
CREATE TABLE quota_locks (
	project_id VARCHAR(64) NOT NULL, 
	PRIMARY KEY (project_id)
);
CREATE TABLE quotas (
	project_id VARCHAR(64) NOT NULL, 
	resource VARCHAR(64) NOT NULL, 
	hard_limit BIGINT NOT NULL, 
	PRIMARY KEY (project_id, resource)
);
CREATE TABLE restores (
	restore_target VARCHAR(255), 
	id VARCHAR(36) NOT NULL, 
	project_id VARCHAR(64) NOT NULL, 
	provider_id VARCHAR(36) NOT NULL, 
	checkpoint_id VARCHAR(36) NOT NULL, 
	parameters JSON NOT NULL, 
	status VARCHAR(32) NOT NULL, 
	resources_status JSON NOT NULL, 
	resources_reason JSON NOT NULL, 
	reason TEXT, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME, 
	PRIMARY KEY (id)
);
INSERT INTO "restores" VALUES(NULL,'7e6d5c4b-2222-4a1b-8c9d-000000000001','b7a1c2d3e4f5460718293a4b5c6d7e8f','cf56bd3e-97a7-4078-b6d5-f36246333fd9','5f0c1c9e-8d5b-4a55-9d1b-0e8f5a1d7c01','{}','in_progress','{}','{}',NULL,'2026-01-02 04:04:05.000006',NULL);
CREATE TABLE scheduled_operations (
	id VARCHAR(36) NOT NULL, 
	project_id VARCHAR(64) NOT NULL, 
	user_id VARCHAR(64) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	description VARCHAR(255), 
	operation_type VARCHAR(64) NOT NULL, 
	trigger_id VARCHAR(36) NOT NULL, 
	plan_id VARCHAR(36) NOT NULL, 
	operation_definition JSON NOT NULL, 
	enabled BOOLEAN NOT NULL, 
	disabled_reason TEXT, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME, 
	PRIMARY KEY (id), 
	FOREIGN KEY(trigger_id) REFERENCES triggers (id)
);
INSERT INTO "scheduled_operations" VALUES('6b5c4d3e-4444-4d6f-b2c3-000000000001','b7a1c2d3e4f5460718293a4b5c6d7e8f','alice','keep ten','nightly','retention_protect','9a8b7c6d-3333-4f5e-a1b2-000000000001','2f5d1c7a-6c57-4a2b-8f3e-7d9c1b0a4e12','{"provider_id": "cf56bd3e-97a7-4078-b6d5-f36246333fd9", "plan_id": "2f5d1c7a-6c57-4a2b-8f3e-7d9c1b0a4e12", "retention": {"max_backups": 10}}',1,NULL,'2026-01-02 03:04:05.000006',NULL);
CREATE TABLE scheduled_runs (
	id VARCHAR(36) NOT NULL, 
	scheduled_operation_id VARCHAR(36) NOT NULL, 
	project_id VARCHAR(64) NOT NULL, 
	due_at DATETIME NOT NULL, 
	window_ends_at DATETIME NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	reason TEXT, 
	attempt INTEGER NOT NULL, 
	checkpoint_id VARCHAR(36), 
	next_look_at DATETIME, 
	owner VARCHAR(255), 
	epoch INTEGER NOT NULL, 
	lease_until DATETIME, 
	created_at DATETIME NOT NULL, 
	ended_at DATETIME, 
	PRIMARY KEY (id), 
	CONSTRAINT uq_scheduled_runs_operation_due UNIQUE (scheduled_operation_id, due_at)
);
INSERT INTO "scheduled_runs" VALUES('b8c6670e-899f-467d-a5c6-1988c0119a69','6b5c4d3e-4444-4d6f-b2c3-000000000001','b7a1c2d3e4f5460718293a4b5c6d7e8f','2026-01-02 03:04:05.000006','2026-01-02 03:34:05.000006','succeeded',NULL,0,'5f0c1c9e-8d5b-4a55-9d1b-0e8f5a1d7c01',NULL,NULL,0,NULL,'2026-01-02 03:04:05.000006',NULL);
CREATE TABLE services (
	id INTEGER NOT NULL, 
	binary VARCHAR(64) NOT NULL, 
	host VARCHAR(255) NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	disabled_reason VARCHAR(255), 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME, 
	PRIMARY KEY (id), 
	CONSTRAINT uq_services_binary_host UNIQUE (binary, host)
);
CREATE TABLE triggers (
	id VARCHAR(36) NOT NULL, 
	project_id VARCHAR(64) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	type VARCHAR(64) NOT NULL, 
	properties JSON NOT NULL, 
	next_run_at DATETIME, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME, 
	PRIMARY KEY (id)
);
INSERT INTO "triggers" VALUES('9a8b7c6d-3333-4f5e-a1b2-000000000001','b7a1c2d3e4f5460718293a4b5c6d7e8f','every night','time','{"format": "crontab", "pattern": "0 3 * * *", "timezone": "Europe/Berlin", "start_time": "2026-01-01T00:00:00Z", "window": 1800}','2026-01-03 02:00:00.000000','2026-01-02 03:04:05.000006',NULL);
CREATE TABLE trusts (
	user_id VARCHAR(64) NOT NULL, 
	project_id VARCHAR(64) NOT NULL, 
	trust_id TEXT NOT NULL, 
	created_at DATETIME NOT NULL, released_at DATETIME, 
	PRIMARY KEY (user_id, project_id)
);
INSERT INTO "trusts" VALUES('alice','b7a1c2d3e4f5460718293a4b5c6d7e8f','gAAAAA-encrypted','2026-11-28 07:14:42.264000',NULL);
CREATE TABLE verifications (
	id VARCHAR(36) NOT NULL, 
	project_id VARCHAR(64) NOT NULL, 
	provider_id VARCHAR(36) NOT NULL, 
	checkpoint_id VARCHAR(36) NOT NULL, 
	parameters JSON NOT NULL, 
	status VARCHAR(32) NOT NULL, 
	resources_status JSON NOT NULL, 
	resources_reason JSON NOT NULL, 
	reason TEXT, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME, 
	PRIMARY KEY (id)
);
CREATE INDEX ix_plans_project ON plans (project_id, created_at, id);
CREATE INDEX ix_checkpoints_plan ON checkpoints (plan_id, created_at, id);
CREATE INDEX ix_checkpoints_project ON checkpoints (project_id, deleted_at);
CREATE INDEX ix_checkpoints_provider ON checkpoints (provider_id, project_id, created_at, id);
CREATE INDEX ix_operations_checkpoint ON operations (checkpoint_id);
CREATE INDEX ix_operations_project ON operations (project_id, created_at, id);
CREATE INDEX ix_operations_restore ON operations (restore_id);
CREATE INDEX ix_operations_state ON operations (state, lease_until);
CREATE INDEX ix_operations_verification ON operations (verification_id);
CREATE INDEX ix_restores_project ON restores (project_id, created_at, id);
CREATE INDEX ix_verifications_project ON verifications (project_id, created_at, id);
CREATE INDEX ix_triggers_next_run_at ON triggers (next_run_at);
CREATE INDEX ix_triggers_project ON triggers (project_id, created_at, id);
CREATE INDEX ix_scheduled_operations_project ON scheduled_operations (project_id, created_at, id);
CREATE INDEX ix_scheduled_operations_plan ON scheduled_operations (plan_id);
CREATE INDEX ix_scheduled_operations_user ON scheduled_operations (user_id, project_id);
CREATE INDEX ix_scheduled_operations_trigger ON scheduled_operations (trigger_id);
CREATE INDEX ix_idempotency_keys_created_at ON idempotency_keys (created_at);
CREATE INDEX ix_scheduled_runs_state ON scheduled_runs (state, next_look_at);
CREATE INDEX ix_scheduled_runs_project ON scheduled_runs (project_id, created_at, id);
CREATE INDEX ix_operations_source ON operations (source_checkpoint_id);
COMMIT;
