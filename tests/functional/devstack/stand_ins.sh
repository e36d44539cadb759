#!/bin/bash
#
# Stand-ins for the functions of DevStack that the plugin may use, with the
# number of arguments and the effects on files that they have there.
#
#   bash stand_ins.sh PLUGIN_DIR PHASE...    e.g. devstack "stack install" clean
#
# $RECORD/calls has one line for each call: the name and the arguments,
# separated by tabs. $RECORD/mistakes has the calls that DevStack would refuse
# or misunderstand. $HOST_DIR stands for the root of the file system.

SYSTEMD_DIR=$HOST_DIR/etc/systemd/system
APACHE_CONF_DIR=$HOST_DIR/etc/apache2/sites-available
mkdir -p "$SYSTEMD_DIR" "$APACHE_CONF_DIR" "$HOST_DIR/etc/apache2/sites-enabled" "$HOST_DIR/running"

function _mistake {
    echo "$*" >> "$RECORD/mistakes"
}

# _called least most arguments: record the call of the function that calls this
function _called {
    local name=${FUNCNAME[1]} least=$1 most=$2
    shift 2
    local IFS=$'\t'
    echo "$name${*:+$IFS}$*" >> "$RECORD/calls"
    if [[ $# -lt $least || $# -gt $most ]]; then
        _mistake "$name takes $least to $most arguments, not $#: $*"
    fi
}

# _words arguments: DevStack does not quote them, so each must be one word
function _words {
    local argument
    for argument in "$@"; do
        if [[ -z $argument || $argument =~ [[:space:]*?] ]]; then
            _mistake "${FUNCNAME[1]}: not one word: '$argument'"
        fi
    done
}

function command_not_found_handle {
    _mistake "unknown: $*"
    return 127
}

function sudo {
    _called 1 99 "$@"
    "$@"
}

# Control

function echo_summary {
    _called 1 9 "$@"
}

function die {
    _called 2 9 "$@"
    [[ $1 =~ ^[0-9]+$ ]] || _mistake "die: not a line: $1"
    echo "$2" >&2
    exit 1
}

# Services

function define_plugin {
    _called 1 1 "$@"
}

function enable_service {
    _called 1 99 "$@"
    _words "$@"
    local service
    for service in "$@"; do
        if [[ ,$DISABLED_SERVICES, != *,$service,* ]] && ! is_service_enabled "$service"; then
            ENABLED_SERVICES+=,$service
        fi
    done
}

function _enabled_with {
    [[ ,$DISABLED_SERVICES != *,$1* && ,$ENABLED_SERVICES == *,$2* ]]
}

function is_cinder_enabled {
    _enabled_with cinder c-
}

function is_glance_enabled {
    _enabled_with glance g-
}

function is_neutron_enabled {
    _enabled_with neutron q- || _enabled_with neutron neutron-
}

function is_nova_enabled {
    _enabled_with nova n-
}

function is_swift_enabled {
    _enabled_with swift s-
}

function is_service_enabled {
    _called 1 99 "$@"
    _words "$@"
    local service
    for service in "$@"; do
        if [[ ,$ENABLED_SERVICES, == *,$service,* ]]; then
            return 0
        fi
        if declare -F "is_${service}_enabled" > /dev/null && "is_${service}_enabled"; then
            return 0
        fi
        if [[ $service == s-* && ,$ENABLED_SERVICES == *,swift* ]]; then
            return 0
        fi
    done
    return 1
}

function run_process {
    _called 2 5 "$@"
    _words "$1"
    is_service_enabled "$1" || return 0
    [[ $2 == /* ]] || _mistake "run_process: not an absolute path: $2"
    [[ $2 != *sudo* ]] || _mistake "run_process: sudo: $2"
    local unit="$SYSTEMD_DIR/devstack@$1.service" type=simple
    # DevStack decides so whether systemd waits for a message of the program.
    if [[ $2 == *uwsgi* ]]; then
        type=notify
    fi
    printf '[Service]\nUser=%s\nType=%s\nExecStart=%s\n' "${4:-$STACK_USER}" "$type" "$2" > "$unit"
    touch "$HOST_DIR/running/$1"
}

function stop_process {
    _called 1 1 "$@"
    _words "$1"
    if is_service_enabled "$1"; then
        rm -f "$HOST_DIR/running/$1"
    fi
}

function wait_for_service {
    _called 2 2 "$@"
    _words "$@"
}

# Packages

function get_python_exec_prefix {
    _called 0 0 "$@"
    echo "$PYTHON_PREFIX"
}

function setup_develop {
    _called 1 2 "$@"
    _words "$@"
    # DevStack reads the name like this, to remove it from its constraints.
    local names
    names=$(awk '/^name.*=/ {print $3}' "$1/setup.cfg")
    [[ $(wc -l <<< "$names") == 1 && -n $names ]] || _mistake "setup_develop: names of $1: $names"
}

# Files

# Change the lines of an option in a file, without other programs, because
# there are hundreds of changes.
# _edit add|replace|delete file section option [value]...
function _edit {
    local action=$1 file=$2 section="[$3]" option=$4 line is_inside="" is_option prefix value
    shift 4
    local -a lines changed=()
    mapfile -t lines < "$file"
    for line in "${lines[@]}"; do
        is_option=""
        if [[ $line == \[* ]]; then
            is_inside=""
            if [[ $line == "$section"* ]]; then
                is_inside=yes
            fi
        elif [[ -n $is_inside && $line =~ ^${option}[[:blank:]]*=[[:blank:]]* ]]; then
            is_option=yes
            prefix=${BASH_REMATCH[0]}
        fi
        if [[ -z $is_option || $action == add ]]; then
            changed+=("$line")
        elif [[ $action == replace ]]; then
            changed+=("$prefix$1")
        fi
        if [[ $action == add && $line == "$section"* ]]; then
            for value in "$@"; do
                changed+=("$option = $value")
            done
        fi
    done
    printf '%s\n' "${changed[@]}" > "$file"
}

# Print the lines of an option
# _lines_of file section option
function _lines_of {
    local line is_inside=""
    while IFS= read -r line; do
        if [[ $line == \[* ]]; then
            is_inside=""
            if [[ $line == "[$2]"* ]]; then
                is_inside=yes
            fi
        elif [[ -n $is_inside && $line =~ ^$3[[:blank:]]*= ]]; then
            echo "$line"
        fi
    done < "$1"
}

function _section {
    if [[ ! -f $1 || $'\n'$(< "$1") != *$'\n'"[$2]"* ]]; then
        printf '\n[%s]\n' "$2" >> "$1"
    fi
}

function iniset {
    if [[ $1 == -sudo ]]; then
        shift
    fi
    _called 4 4 "$@"
    _words "$2" "$3"
    # DevStack passes the value to "echo" without quotes.
    if [[ $4 =~ ^[[:space:]]|[[:space:]]{2}|[[:space:]]$|[[:cntrl:]] ]]; then
        _mistake "iniset: DevStack would change '$4'"
    fi
    _section "$1" "$2"
    if [[ -n $(_lines_of "$1" "$2" "$3") ]]; then
        _edit replace "$@"
    else
        _edit add "$@"
    fi
}

function iniset_multiline {
    _called 4 99 "$@"
    _words "$@"
    _section "$1" "$2"
    _edit delete "$1" "$2" "$3"
    _edit add "$@"
}

function inidelete {
    _called 3 3 "$@"
    _words "$@"
    _edit delete "$@"
}

function iniget {
    _called 3 3 "$@"
    _words "$@"
    local line
    line=$(_lines_of "$@")
    # shellcheck disable=SC2086
    echo ${line#*=}
}

function setup_logging {
    _called 1 1 "$@"
    _words "$@"
    iniset "$1" DEFAULT logging_default_format_string "%(color)s%(levelname)s %(name)s [-%(color)s] %(message)s"
    iniset "$1" DEFAULT log_color True
}

function iniset_rpc_backend {
    _called 2 4 "$@"
    _words "$@"
    if is_service_enabled rabbit || [[ -n $RABBIT_HOST && -n $RABBIT_PASSWORD ]]; then
        iniset "$2" "${3:-DEFAULT}" transport_url "rabbit://$RABBIT_USERID:$RABBIT_PASSWORD@$RABBIT_HOST:5672/${4:-}"
    fi
}

function database_connection_url {
    _called 1 1 "$@"
    _words "$@"
    case $DATABASE_TYPE in
        mysql)
            echo "mysql+pymysql://root:secret@127.0.0.1/$1?charset=utf8&plugin=dbcounter"
            ;;
        postgresql)
            echo "postgresql://root:secret@127.0.0.1/$1?client_encoding=utf8"
            ;;
        *)
            _mistake "database_connection_url: no database"
            ;;
    esac
}

function recreate_database {
    _called 1 1 "$@"
    _words "$@"
    [[ $1 =~ ^[a-z_]+$ ]] || _mistake "recreate_database: not a name that needs no quotes: $1"
}

# Apache

function apache_site_config_for {
    _called 1 1 "$@"
    echo "$APACHE_CONF_DIR/$1.conf"
}

function write_uwsgi_config {
    _called 3 5 "$@"
    _words "$1" "$2"
    rm -rf "$1"
    [[ $2 =~ ^[a-zA-Z0-9_.]+:[a-zA-Z0-9_]+$ ]] || _mistake "write_uwsgi_config: not a module: $2"
    local name=${5:-$(basename "$2")}
    iniset "$1" uwsgi module "$2"
    iniset "$1" uwsgi processes 2
    iniset "$1" uwsgi master true
    iniset "$1" uwsgi enable-threads true
    iniset "$1" uwsgi lazy-apps true
    iniset "$1" uwsgi plugins http,python3
    if [[ -n ${4:-} ]]; then
        iniset "$1" uwsgi http "$4"
        return
    fi
    iniset "$1" uwsgi socket "/var/run/uwsgi/$name.socket"
    echo "ProxyPass \"$3\" \"unix:/var/run/uwsgi/$name.socket|uwsgi://uwsgi-uds-$name\" retry=0" \
        >> "$(apache_site_config_for "$name")"
    touch "$HOST_DIR/etc/apache2/sites-enabled/$name"
}

function remove_uwsgi_config {
    _called 2 2 "$@"
    _words "$@"
    [[ $2 != /* ]] || _mistake "remove_uwsgi_config: a path: $2"
    rm -rf "$1" "$HOST_DIR/etc/apache2/sites-enabled/$(basename "$2")"
}

# Keystone

function configure_keystoneauth {
    _called 3 3 "$@"
    _words "$@"
    iniset "$1" "$3" auth_type password
    iniset "$1" "$3" interface public
    iniset "$1" "$3" auth_url "$KEYSTONE_SERVICE_URI"
    iniset "$1" "$3" username "$2"
    iniset "$1" "$3" password "$SERVICE_PASSWORD"
    iniset "$1" "$3" user_domain_name "$SERVICE_DOMAIN_NAME"
    iniset "$1" "$3" project_name service
    iniset "$1" "$3" project_domain_name "$SERVICE_DOMAIN_NAME"
}

function configure_keystone_authtoken_middleware {
    _called 2 4 "$@"
    _words "$@"
    local section=${3:-keystone_authtoken}
    configure_keystoneauth "$1" "$2" "$section"
    iniset "$1" "$section" www_authenticate_uri "$KEYSTONE_SERVICE_URI"
    iniset "$1" "$section" cafile "$SSL_BUNDLE_FILE"
    iniset "$1" "$section" memcached_servers localhost:11211
}

function create_service_user {
    _called 1 2 "$@"
    _words "$@"
}

function get_or_create_service {
    _called 3 3 "$@"
    _words "$1" "$2"
    echo "id-of-service"
}

function get_or_create_endpoint {
    _called 3 5 "$@"
    # The fourth may be empty: no endpoint for administrators.
    _words "$1" "$2" "$3" ${5:+"$5"}
    echo "id-of-endpoint"
}

function get_or_create_project {
    _called 2 2 "$@"
    _words "$@"
    echo "id-of-project"
}

function get_or_create_user {
    _called 3 4 "$@"
    _words "$1" "$3"
    echo "id-of-user"
}

function get_or_add_user_project_role {
    _called 3 5 "$@"
    _words "$@"
}

# As stack.sh, unstack.sh and clean.sh do
directory=$1
shift
set -o errexit
source "$directory/settings"
for phase in "$@"; do
    # shellcheck disable=SC2086
    source "$directory/plugin.sh" $phase
done
