#!/bin/bash
#
# DevStack plugin: installs, configures and starts the services.
#
# DevStack sources this file once for each phase, with the phase as arguments,
# after ``settings``. README.rst describes the variables.

# Save trace setting
_XTRACE_KARBOR_LIKE=$(set +o | grep xtrace)
set +o xtrace

# Name of the API for uWSGI and Apache, and the path at which Apache serves it
_KARBOR_LIKE_SITE=karbor-like-api
_KARBOR_LIKE_PATH=/data-protect
_KARBOR_LIKE_URL="$KARBOR_LIKE_SERVICE_PROTOCOL://$KARBOR_LIKE_SERVICE_HOST"
_KARBOR_LIKE_URL+=$_KARBOR_LIKE_PATH

# Sections of karbor_like.conf that say how other services are reached
_KARBOR_LIKE_CLIENTS="cinder glance nova neutron trove heat manila keystone"
_KARBOR_LIKE_CLIENTS+=" data_protect"


# Functions
# ---------

# DevStack calls this for ``is_service_enabled karbor_like``.
function is_karbor_like_enabled {
    [[ ,${ENABLED_SERVICES} =~ ,"karbor-like-" ]]
}

function _karbor_like_has_dashboard {
    is_service_enabled horizon && [[ -d $KARBOR_LIKE_DIR/dashboard ]]
}

# The files that Horizon reads from directories of its own: panels and settings
function _karbor_like_panels {
    find "$KARBOR_LIKE_DIR/dashboard/karbor_like_dashboard/enabled" \
        "$KARBOR_LIKE_DIR/dashboard/karbor_like_dashboard/local_settings.d" \
        -name '_[0-9]*.py' | sort
}

# Print the directory of Horizon for such a file
# _karbor_like_panel_dir file
function _karbor_like_panel_dir {
    local kind
    kind=$(basename "$(dirname "$1")")
    echo "$HORIZON_DIR/openstack_dashboard/local/$kind"
}

# Install the services, the commands and the panels. The names of the extras
# are those that DevStack gives to its databases.
function install_karbor_like {
    local extras=memcache
    if [[ -n "$DATABASE_TYPE" ]]; then
        extras+=",$DATABASE_TYPE"
    fi
    setup_develop "$KARBOR_LIKE_DIR" "$extras"
    setup_develop "$KARBOR_LIKE_DIR/client"
    if _karbor_like_has_dashboard; then
        setup_develop "$KARBOR_LIKE_DIR/dashboard"
    fi
}

# Print the value that an option has had so far, or nothing, so that keys
# survive another stack.sh
# _karbor_like_kept file section option
function _karbor_like_kept {
    if [[ -f $1 ]]; then
        iniget "$1" "$2" "$3"
    fi
}

# Create a file that only the services can read, without content
# _karbor_like_empty_file file
function _karbor_like_empty_file {
    install -m 600 /dev/null "$1"
}

# oslo.config takes a single "$" as the beginning of another option's name.
function _karbor_like_literal {
    echo "${1//\$/\$\$}"
}

function _karbor_like_bank {
    if [[ -n "$KARBOR_LIKE_BANK" ]]; then
        echo "$KARBOR_LIKE_BANK"
    elif is_service_enabled s-proxy; then
        echo swift
    else
        echo filesystem
    fi
}

# Print the protection plugins of the provider, for the services that run
function _karbor_like_protections {
    if [[ -n "$KARBOR_LIKE_PROTECTIONS" ]]; then
        echo "$KARBOR_LIKE_PROTECTIONS"
        return
    fi
    local plugins="project"
    if is_service_enabled cinder; then
        if is_service_enabled glance; then
            plugins+=" volume-glance"
        elif is_service_enabled c-bak; then
            plugins+=" volume-cinder-backup"
        else
            plugins+=" volume-snapshot"
        fi
    fi
    if is_service_enabled glance; then
        plugins+=" image"
    fi
    if is_service_enabled manila; then
        plugins+=" share-snapshot"
    fi
    if is_service_enabled neutron; then
        plugins+=" network"
    fi
    if is_service_enabled nova; then
        plugins+=" keypair server"
    fi
    if is_service_enabled trove; then
        plugins+=" database"
    fi
    echo "$plugins"
}

# Write the configuration of all services
function configure_karbor_like {
    local key panel url
    sudo install -d -o "$STACK_USER" -m 750 "$KARBOR_LIKE_CONF_DIR" \
        "$KARBOR_LIKE_CONF_DIR/providers.d" "$KARBOR_LIKE_POLICY_DIR" \
        "$KARBOR_LIKE_DATA_DIR"

    key=$KARBOR_LIKE_SECRET_KEY
    if [[ -z "$key" ]]; then
        key=$(_karbor_like_kept "$KARBOR_LIKE_CONF" secret keys)
    fi
    if [[ -z "$key" ]]; then
        key=$("$KARBOR_LIKE_BIN_DIR/karbor-like-manage" secret new-key)
    fi
    _karbor_like_empty_file "$KARBOR_LIKE_CONF"
    iniset "$KARBOR_LIKE_CONF" secret keys "$key"

    iniset "$KARBOR_LIKE_CONF" DEFAULT debug "$ENABLE_DEBUG_LOG_LEVEL"
    setup_logging "$KARBOR_LIKE_CONF"
    iniset_rpc_backend karbor_like "$KARBOR_LIKE_CONF"
    url=$(database_connection_url "$KARBOR_LIKE_DB")
    # With utf8, MySQL refuses characters of four bytes in names.
    if [[ $url =~ charset=utf8(&|$) ]]; then
        url=${url/charset=utf8/charset=utf8mb4}
    fi
    # Of a bare "postgresql", the driver depends on the version of SQLAlchemy.
    url=${url/#postgresql:/postgresql+psycopg2:}
    iniset "$KARBOR_LIKE_CONF" database connection "$url"
    iniset "$KARBOR_LIKE_CONF" oslo_policy policy_dirs \
        "$KARBOR_LIKE_POLICY_DIR"
    iniset "$KARBOR_LIKE_CONF" protection provider_config_dir \
        "$KARBOR_LIKE_CONF_DIR/providers.d"
    iniset "$KARBOR_LIKE_CONF" api public_url "$_KARBOR_LIKE_URL"
    iniset "$KARBOR_LIKE_CONF" api threads "$KARBOR_LIKE_API_THREADS"
    _configure_karbor_like_accounts
    _configure_karbor_like_provider
    if is_service_enabled karbor-like-api; then
        _configure_karbor_like_uwsgi
    fi
    if _karbor_like_has_dashboard; then
        _karbor_like_panels | while read -r panel; do
            ln -sf "$panel" "$(_karbor_like_panel_dir "$panel")/"
        done
    fi
}

# The account of the services, and how they reach the other services
function _configure_karbor_like_accounts {
    configure_keystone_authtoken_middleware "$KARBOR_LIKE_CONF" \
        "$KARBOR_LIKE_USER"
    iniset "$KARBOR_LIKE_CONF" keystone_authtoken service_token_roles service
    iniset "$KARBOR_LIKE_CONF" keystone_authtoken \
        service_token_roles_required True
    configure_keystoneauth "$KARBOR_LIKE_CONF" "$KARBOR_LIKE_USER" service_auth
    # These functions write the password as it is.
    local password section
    password=$(_karbor_like_literal "$SERVICE_PASSWORD")
    for section in keystone_authtoken service_auth; do
        iniset "$KARBOR_LIKE_CONF" "$section" password "$password"
    done
    # This option belongs to the sections of the clients.
    inidelete "$KARBOR_LIKE_CONF" service_auth interface

    local client
    for client in $_KARBOR_LIKE_CLIENTS; do
        iniset "$KARBOR_LIKE_CONF" "${client}_client" region_name \
            "$REGION_NAME"
    done
    # The file exists if DevStack has made certificates, as for tls-proxy.
    if [[ -f $SSL_BUNDLE_FILE ]]; then
        iniset "$KARBOR_LIKE_CONF" service_auth cafile "$SSL_BUNDLE_FILE"
        for client in $_KARBOR_LIKE_CLIENTS; do
            iniset "$KARBOR_LIKE_CONF" "${client}_client" cafile \
                "$SSL_BUNDLE_FILE"
        done
    fi
}

# Apache serves the API through uWSGI.
function _configure_karbor_like_uwsgi {
    # write_uwsgi_config appends to the file of the site.
    sudo rm -f "$(apache_site_config_for "$_KARBOR_LIKE_SITE")"
    write_uwsgi_config "$KARBOR_LIKE_UWSGI_CONF" \
        "karbor_like.wsgi:application" "$_KARBOR_LIKE_PATH" "" \
        "$_KARBOR_LIKE_SITE"
    iniset "$KARBOR_LIKE_UWSGI_CONF" uwsgi threads "$KARBOR_LIKE_API_THREADS"
    iniset "$KARBOR_LIKE_UWSGI_CONF" uwsgi env \
        "KARBOR_LIKE_CONFIG_FILES=$KARBOR_LIKE_CONF"
}

# The file of the provider
function _configure_karbor_like_provider {
    local bank file key plugins
    bank=$(_karbor_like_bank)
    plugins=$(_karbor_like_protections)
    file="$KARBOR_LIKE_CONF_DIR/providers.d/devstack.conf"
    key=$KARBOR_LIKE_MASTER_KEY
    if [[ -z "$key" ]]; then
        key=$(_karbor_like_kept "$file" bank master_keys)
    fi
    if [[ -z "$key" ]]; then
        key=$("$KARBOR_LIKE_BIN_DIR/karbor-like-manage" secret \
            new-master-key devstack)
    fi
    _karbor_like_empty_file "$file"
    iniset "$file" provider id "$KARBOR_LIKE_PROVIDER_ID"
    iniset "$file" provider name "$KARBOR_LIKE_PROVIDER_NAME"
    iniset "$file" provider description "Made by DevStack, stored in $bank"
    iniset "$file" provider enabled True
    iniset "$file" provider bank "$bank"
    # shellcheck disable=SC2086
    iniset_multiline "$file" provider plugin $plugins
    iniset "$file" bank master_keys "$key"
    case $bank in
        swift)
            _configure_karbor_like_swift "$file"
            ;;
        filesystem)
            sudo install -d -o "$STACK_USER" -m 750 \
                "$KARBOR_LIKE_DATA_DIR/bank"
            iniset "$file" file_system_bank_plugin file_system_bank_path \
                "$KARBOR_LIKE_DATA_DIR/bank"
            ;;
        *)
            die $LINENO "KARBOR_LIKE_BANK=$bank is not swift or filesystem"
            ;;
    esac
}

# _configure_karbor_like_swift file
function _configure_karbor_like_swift {
    local file=$1
    local password=${KARBOR_LIKE_BANK_PASSWORD:-$SERVICE_PASSWORD}
    iniset "$file" swift_client swift_auth_url "$KEYSTONE_SERVICE_URI_V3"
    iniset "$file" swift_client swift_user "$KARBOR_LIKE_BANK_USER"
    iniset "$file" swift_client swift_key \
        "$(_karbor_like_literal "$password")"
    iniset "$file" swift_client swift_tenant_name "$KARBOR_LIKE_BANK_USER"
    iniset "$file" swift_client swift_user_domain_name "$SERVICE_DOMAIN_NAME"
    iniset "$file" swift_client swift_project_domain_name \
        "$SERVICE_DOMAIN_NAME"
    iniset "$file" swift_client swift_region_name "$REGION_NAME"
    if [[ -f $SSL_BUNDLE_FILE ]]; then
        iniset "$file" swift_client swift_ca_cert_file "$SSL_BUNDLE_FILE"
    fi
}

# Register the accounts, the service and its endpoints
function create_karbor_like_accounts {
    local url="$_KARBOR_LIKE_URL/v1/\$(project_id)s"
    create_service_user "$KARBOR_LIKE_USER" admin
    get_or_create_service karbor-like data-protect "Data protection"
    get_or_create_endpoint data-protect "$REGION_NAME" "$url" "" "$url"
    if [[ $(_karbor_like_bank) == swift ]]; then
        # No other program and no tenant may use the account of the bank.
        get_or_create_project "$KARBOR_LIKE_BANK_USER" "$SERVICE_DOMAIN_NAME"
        get_or_create_user "$KARBOR_LIKE_BANK_USER" \
            "${KARBOR_LIKE_BANK_PASSWORD:-$SERVICE_PASSWORD}" \
            "$SERVICE_DOMAIN_NAME"
        get_or_add_user_project_role member "$KARBOR_LIKE_BANK_USER" \
            "$KARBOR_LIKE_BANK_USER" "$SERVICE_DOMAIN_NAME" \
            "$SERVICE_DOMAIN_NAME"
    fi
}

# Create the database
function init_karbor_like {
    recreate_database "$KARBOR_LIKE_DB"
    "$KARBOR_LIKE_BIN_DIR/karbor-like-manage" \
        --config-file "$KARBOR_LIKE_CONF" db sync
}

function start_karbor_like {
    local option="--config-file $KARBOR_LIKE_CONF"
    run_process karbor-like-protection \
        "$KARBOR_LIKE_BIN_DIR/karbor-like-protection $option"
    run_process karbor-like-operationengine \
        "$KARBOR_LIKE_BIN_DIR/karbor-like-operationengine $option"
    option="--procname-prefix karbor-like-api --ini $KARBOR_LIKE_UWSGI_CONF"
    run_process karbor-like-api "$(which uwsgi) $option"
    if is_service_enabled karbor-like-api; then
        # Healthy with the database, RPC and a protection service
        if ! wait_for_service "$SERVICE_TIMEOUT" \
            "$_KARBOR_LIKE_URL/healthcheck"; then
            die $LINENO "karbor-like-api did not start"
        fi
    fi
}

# Check the installation. Warnings are shown, and do not end stack.sh.
function check_karbor_like {
    local result=0
    "$KARBOR_LIKE_BIN_DIR/karbor-like-status" \
        --config-file "$KARBOR_LIKE_CONF" upgrade check || result=$?
    if [[ $result -gt 1 ]]; then
        die $LINENO "karbor-like-status upgrade check failed"
    fi
}

function stop_karbor_like {
    stop_process karbor-like-api
    stop_process karbor-like-operationengine
    stop_process karbor-like-protection
}

# Remove what the other functions have written, also banks on files.
# DevStack itself removes databases, accounts and units.
function cleanup_karbor_like {
    local panel
    remove_uwsgi_config "$KARBOR_LIKE_UWSGI_CONF" "$_KARBOR_LIKE_SITE"
    sudo rm -f "$(apache_site_config_for "$_KARBOR_LIKE_SITE")"
    if _karbor_like_has_dashboard; then
        _karbor_like_panels | while read -r panel; do
            rm -f "$(_karbor_like_panel_dir "$panel")/$(basename "$panel")"
        done
    fi
    sudo rm -rf "${KARBOR_LIKE_CONF:?}" "${KARBOR_LIKE_POLICY_DIR:?}" \
        "${KARBOR_LIKE_CONF_DIR:?}" "${KARBOR_LIKE_DATA_DIR:?}"
}


# Phases
# ------

if is_service_enabled karbor_like; then
    case "$1 ${2:-}" in
        "stack pre-install")
            # The packages below files/ are installed by DevStack itself.
            ;;
        "stack install")
            echo_summary "Installing karbor_like"
            install_karbor_like
            ;;
        "stack post-config")
            echo_summary "Configuring karbor_like"
            configure_karbor_like
            if is_service_enabled karbor-like-api; then
                create_karbor_like_accounts
                init_karbor_like
            fi
            ;;
        "stack extra")
            echo_summary "Starting karbor_like"
            start_karbor_like
            ;;
        "stack test-config")
            echo_summary "Checking karbor_like"
            check_karbor_like
            ;;
        "unstack ")
            stop_karbor_like
            ;;
        "clean ")
            cleanup_karbor_like
            ;;
    esac
fi

# Restore xtrace
$_XTRACE_KARBOR_LIKE
