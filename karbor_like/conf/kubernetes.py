from oslo_config import cfg

K8S_CLIENT = cfg.OptGroup("k8s_client", title="How Kubernetes is reached")
POD_PROTECTABLE = cfg.OptGroup("pod_protectable", title="Which pods belong to which project")

GROUPS: list[tuple[cfg.OptGroup, list[cfg.Opt]]] = [
    (
        K8S_CLIENT,
        [
            cfg.StrOpt(
                "k8s_host",
                help="URL of the API server, such as https://192.0.2.10:6443. If it is not set, there are no pods.",
            ),
            cfg.StrOpt(
                "k8s_ssl_ca_cert",
                help="File with the CA certificates for the connection. If it is not set: those of the system.",
            ),
            cfg.StrOpt("k8s_cert_file", help="File with the certificate of the account of this service."),
            cfg.StrOpt("k8s_key_file", help="File with the private key of that certificate."),
            cfg.StrOpt(
                "k8s_token_file",
                help="""
File with the token of the account of this service, in place of a certificate. It is read for each request, because tokens
are renewed.
""",
            ),
            cfg.FloatOpt("timeout", default=60.0, min=0.001, help="Seconds for a request."),
        ],
    ),
    (
        POD_PROTECTABLE,
        [
            cfg.StrOpt(
                "namespace",
                regex=r"^[a-z0-9-]*%\(project_id\)s[a-z0-9-]*\Z",
                help="""
Namespace of the pods of a project, such as project-%(project_id)s, in which %(project_id)s stands for the id of the project.
Every user of a project can protect, read and create pods in its namespace with the rights of this service's account. If it
is not set, only the projects in namespaces have pods.
""",
            ),
            cfg.DictOpt(
                "namespaces",
                default={},
                help="""
Namespaces of single projects, in place of the one in namespace: PROJECT_ID:NAMESPACE, separated by commas.
""",
            ),
        ],
    ),
]
