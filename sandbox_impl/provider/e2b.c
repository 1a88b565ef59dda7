/* e2b - E2B and E2B-compatible hosts: a REST control plane, and a daemon (envd)
   in every sandbox with REST for file contents and Connect RPC (JSON) for all
   else. Wire form of the Python SDK 2.63. Tables first. */

#ifndef SBX_NO_E2B

/* ---- errors --------------------------------------------------------------- */

static const sbxi_field sbxi_e2b_fault_fields[] = {
    SBXI_FIELD("code", INT, sbxi_fault, number),
    SBXI_FIXED("code", sbxi_fault, word),
    SBXI_FIXED("error_code", sbxi_fault, word),
    SBXI_FIXED("message", sbxi_fault, message)
};
static const sbxi_shape sbxi_e2b_fault = SBXI_SHAPE(sbxi_e2b_fault_fields, sbxi_fault);

/* Where the rules of single routes begin: behind those of all. */
enum { SBXI_E2B_MISSING_IS_NO = 23, SBXI_E2B_GONE_IS_NO = 26, SBXI_E2B_EXISTS_IS_NO = 28,
    SBXI_E2B_DEADLINE_KILLS = 30, SBXI_E2B_NO_STREAM = 32,
    SBXI_E2B_CONFLICT_IS_NO = 37, SBXI_E2B_NO_RANGE_IS_NO = 39,
    SBXI_E2B_RUNS_CODE = 41, SBXI_E2B_FOREIGN_IS_YES = 44 };

/* Texts first, then the words of Connect. */
static const sbxi_rule sbxi_e2b_rules[] = {
    { "was not found", 502, SBX_E_SANDBOX_GONE, SBXI_ON_SANDBOX | SBXI_HAS },
    { "port is not open", 502, SBX_E_UNREACHABLE, SBXI_ON_SANDBOX | SBXI_HAS },
    { "was not found", 503, SBX_E_SANDBOX_GONE, SBXI_ON_SANDBOX | SBXI_HAS },
    { "port is not open", 503, SBX_E_UNREACHABLE, SBXI_ON_SANDBOX | SBXI_HAS },
    { NULL, 502, SBX_E_NETWORK, SBXI_ON_SANDBOX },
    { "is a directory", 0, SBX_E_NOT_A_FILE, SBXI_ON_SANDBOX | SBXI_HAS },
    { "not a directory", 0, SBX_E_NOT_A_FILE, SBXI_ON_SANDBOX | SBXI_HAS },
    { "maximum number", 429, SBX_E_QUOTA, SBXI_ON_CONTROL | SBXI_HAS },
    { "unavailable", 0, SBX_E_NETWORK, 0 },
    { "invalid_argument", 0, SBX_E_REFUSED, 0 },
    { "out_of_range", 0, SBX_E_REFUSED, 0 },
    { "unauthenticated", 0, SBX_E_AUTH, 0 },
    { "permission_denied", 0, SBX_E_DENIED, 0 },
    { "not_found", 0, SBX_E_NOT_FOUND, 0 },
    { "already_exists", 0, SBX_E_CONFLICT, 0 },
    { "aborted", 0, SBX_E_CONFLICT, 0 },
    { "failed_precondition", 0, SBX_E_CONFLICT, 0 },
    { "resource_exhausted", 0, SBX_E_RATE_LIMITED, 0 },
    { "canceled", 0, SBX_E_CANCELLED, 0 },
    { "deadline_exceeded", 0, SBX_E_TIMEOUT, 0 },
    { "unimplemented", 0, SBX_E_UNSUPPORTED_HOST, 0 },
    { NULL, 504, SBX_E_TIMEOUT, SBXI_ON_SANDBOX },
    { NULL, 0, 0, 0 },
    [SBXI_E2B_MISSING_IS_NO] = { "not_found", 0, SBXI_MEANS_NO, 0 },
    { NULL, 404, SBXI_MEANS_NO, 0 },
    { NULL, 0, 0, 0 },
    [SBXI_E2B_GONE_IS_NO] = { NULL, 502, SBXI_MEANS_NO, 0 },
    { NULL, 0, 0, 0 },
    [SBXI_E2B_EXISTS_IS_NO] = { "already_exists", 0, SBXI_MEANS_NO, 0 },
    { NULL, 0, 0, 0 },
    [SBXI_E2B_DEADLINE_KILLS] = { "deadline_exceeded", 0, SBX_E_KILLED, 0 },
    { NULL, 0, 0, 0 },
    [SBXI_E2B_NO_STREAM] = { "not_found", 0, SBX_E_NOT_FOUND, 0 },
    { "unimplemented", 0, SBXI_MEANS_NO, 0 },
    { NULL, 404, SBXI_MEANS_NO, 0 },
    { NULL, 501, SBXI_MEANS_NO, 0 },
    { NULL, 0, 0, 0 },
    [SBXI_E2B_CONFLICT_IS_NO] = { NULL, 409, SBXI_MEANS_NO, 0 },
    { NULL, 0, 0, 0 },
    [SBXI_E2B_NO_RANGE_IS_NO] = { NULL, 416, SBXI_MEANS_NO, 0 },
    { NULL, 0, 0, 0 },
    [SBXI_E2B_RUNS_CODE] = { "port is not open", 502, SBX_E_UNREACHABLE, SBXI_HAS },
    { NULL, 502, SBX_E_SANDBOX_GONE, 0 }, /* as the SDK: its time is over */
    { NULL, 0, 0, 0 },
    [SBXI_E2B_FOREIGN_IS_YES] = { NULL, 403, SBXI_MEANS_YES, 0 },
    { NULL, 404, SBXI_MEANS_NO, 0 },
    { NULL, 0, 0, 0 }
};

/* ---- sandboxes ------------------------------------------------------------ */

static const sbxi_field sbxi_e2b_resume_fields[] = {
    SBXI_IN("enabled", CHOICE, create.o.auto_resume)
};
static const sbxi_shape sbxi_e2b_resume = SBXI_SHAPE(sbxi_e2b_resume_fields, sbxi_args);

#ifndef SBX_NO_EXTRAS
/* The form that creates has more members, in another order, than the one that
   changes. */
static const sbxi_field sbxi_e2b_proxy_tls_fields[] = {
    SBXI_IN("enabled", CHOICE, network.n.proxy_tls),
    SBXI_IN("serverName", STRING, network.n.proxy_server_name),
    SBXI_IN("caCert", STRING, network.n.proxy_ca_pem)
};
static const sbxi_shape sbxi_e2b_proxy_tls = SBXI_SHAPE(sbxi_e2b_proxy_tls_fields, sbxi_args);
static const sbxi_field sbxi_e2b_proxy_fields[] = {
    SBXI_IN("address", STRING, network.n.proxy_address),
    SBXI_IN("username", STRING, network.n.proxy_username),
    SBXI_IN("password", STRING, network.n.proxy_password),
    SBXI_SUB("tls", OBJECT, sbxi_e2b_proxy_tls)
};
static const sbxi_shape sbxi_e2b_proxy = SBXI_SHAPE(sbxi_e2b_proxy_fields, sbxi_args);

/* The same table where the arguments of create have a network. */
#define SBXI_MOVED \
    (uint16_t)(offsetof(sbxi_create_args, o.network) - offsetof(sbxi_network_args, n))
static const sbxi_field sbxi_e2b_network_fields[] = {
    SBXI_IN("allowPublicTraffic", CHOICE, create.o.network.public_traffic),
    SBXI_IN("allowOut", STRINGS, create.o.network.allow_out),
    SBXI_IN("denyOut", STRINGS, create.o.network.deny_out),
    SBXI_IN("dnsServers", STRINGS, create.o.network.dns_servers),
    { "egressProxy", &sbxi_e2b_proxy, SBXI_MOVED, 0, SBXI_T_OBJECT },
    SBXI_IN("maskRequestHost", STRING, create.o.network.mask_host),
    SBXI_IN("httpsPorts", PORTS, create.o.network.https_ports),
    SBXI_IN("rules", RAW, create.o.network.rules_json)
};
static const sbxi_shape sbxi_e2b_network = SBXI_SHAPE(sbxi_e2b_network_fields, sbxi_args);

static const sbxi_field sbxi_e2b_rules_fields[] = {
    SBXI_IN("allowOut", STRINGS, network.n.allow_out),
    SBXI_IN("denyOut", STRINGS, network.n.deny_out),
    SBXI_IN("dnsServers", STRINGS, network.n.dns_servers),
    SBXI_SUB("egressProxy", OBJECT, sbxi_e2b_proxy),
    SBXI_IN("rules", RAW, network.n.rules_json),
    SBXI_IN("allow_internet_access", CHOICE, network.internet)
};
static const sbxi_shape sbxi_e2b_rules_of = SBXI_SHAPE(sbxi_e2b_rules_fields, sbxi_args);

static const char *const sbxi_e2b_mount[] = { "name", "path" };
#endif

static const sbxi_field sbxi_e2b_create_fields[] = {
    SBXI_IN("templateID", STRING, create.o.template_id),
    SBXI_IN("timeout", INT, create.o.timeout_s),
    SBXI_IN("autoPause", CHOICE, create.auto_pause),
    SBXI_IN("autoPauseMemory", CHOICE, create.o.pause_memory),
    SBXI_SUB("autoResume", OBJECT, sbxi_e2b_resume),
    SBXI_IN("allow_internet_access", CHOICE, create.o.internet),
#ifndef SBX_NO_EXTRAS
    SBXI_SUB("network", OBJECT, sbxi_e2b_network),
#endif
    { "metadata", NULL, SBXI_ARG(create.o.metadata), SBXI_ALWAYS, SBXI_T_PAIRS },
    { "envVars", NULL, SBXI_ARG(create.o.envs), SBXI_ALWAYS, SBXI_T_PAIRS }
#ifndef SBX_NO_EXTRAS
    ,
    SBXI_IN("mcp", RAW, create.o.mcp_json),
    SBXI_IN("iam", RAW, create.o.identity_json),
    { "volumeMounts", sbxi_e2b_mount, SBXI_ARG(create.o.volumes), 0, SBXI_T_OBJECTS }
#endif
};
static const sbxi_shape sbxi_e2b_create = SBXI_SHAPE(sbxi_e2b_create_fields, sbxi_args);

#ifndef SBX_NO_EXTRAS
/* The dialect of 2.6, which sends all of it. */
static const sbxi_field sbxi_e2b_old_create_fields[] = {
    SBXI_IN("templateID", STRING, create.o.template_id),
    SBXI_IN("allow_internet_access", CHOICE, create.o.internet),
    SBXI_IN("autoPause", CHOICE, create.auto_pause),
    { "envVars", NULL, SBXI_ARG(create.o.envs), SBXI_ALWAYS, SBXI_T_PAIRS },
    SBXI_IN("mcp", RAW, create.o.mcp_json),
    { "metadata", NULL, SBXI_ARG(create.o.metadata), SBXI_ALWAYS, SBXI_T_PAIRS },
    SBXI_IN("secure", CHOICE, create.secure),
    SBXI_IN("timeout", INT, create.o.timeout_s)
};
static const sbxi_shape sbxi_e2b_old_create = SBXI_SHAPE(sbxi_e2b_old_create_fields, sbxi_args);
#endif

static const sbxi_field sbxi_e2b_access_fields[] = {
    SBXI_FIELD("sandboxID", STRING, sbxi_access, id),
    SBXI_FIELD("envdAccessToken", STRING, sbxi_access, of.access_token),
    SBXI_FIELD("trafficAccessToken", STRING, sbxi_access, of.traffic_token),
    SBXI_FIELD("domain", STRING, sbxi_access, of.domain),
    SBXI_FIELD("envdVersion", STRING, sbxi_access, of.daemon_version)
};
static const sbxi_shape sbxi_e2b_access = SBXI_SHAPE(sbxi_e2b_access_fields, sbxi_access);

static const char *const sbxi_e2b_states[] = { "running", "paused", NULL };
static const char *const sbxi_e2b_ends[] = { "kill", "pause", NULL };

static const sbxi_field sbxi_e2b_lifecycle_fields[] = {
    SBXI_FIELD("autoResume", CHOICE, sbx_sandbox_info, auto_resume),
    { "onTimeout", sbxi_e2b_ends, offsetof(sbx_sandbox_info, on_timeout), 0, SBXI_T_ENUM }
};
static const sbxi_shape sbxi_e2b_lifecycle = SBXI_SHAPE(sbxi_e2b_lifecycle_fields,
    sbx_sandbox_info);

static const sbxi_field sbxi_e2b_info_fields[] = {
    SBXI_FIELD("templateID", STRING, sbx_sandbox_info, template_id),
    SBXI_FIELD("alias", STRING, sbx_sandbox_info, alias),
    SBXI_FIELD("sandboxID", STRING, sbx_sandbox_info, id),
    SBXI_FIELD("startedAt", TIME, sbx_sandbox_info, started_unix_ms),
    SBXI_FIELD("endAt", TIME, sbx_sandbox_info, end_unix_ms),
    SBXI_FIELD("cpuCount", INT, sbx_sandbox_info, cpu_count),
    SBXI_FIELD("memoryMB", INT, sbx_sandbox_info, memory_mib),
    SBXI_FIELD("diskSizeMB", INT, sbx_sandbox_info, disk_mib),
    { "state", sbxi_e2b_states, offsetof(sbx_sandbox_info, state), 0, SBXI_T_ENUM },
    SBXI_FIELD("envdVersion", STRING, sbx_sandbox_info, daemon_version),
    SBXI_FIELD("metadata", PAIRS, sbx_sandbox_info, metadata),
    SBXI_FIELD("envdAccessToken", STRING, sbx_sandbox_info, access_token),
    SBXI_FIELD("allowInternetAccess", CHOICE, sbx_sandbox_info, internet),
    SBXI_FIELD("domain", STRING, sbx_sandbox_info, domain),
    SBXI_SUB("lifecycle", OBJECT, sbxi_e2b_lifecycle)
};
static const sbxi_shape sbxi_e2b_info = SBXI_SHAPE(sbxi_e2b_info_fields, sbx_sandbox_info);

static const sbxi_field sbxi_e2b_list_fields[] = {
    SBXI_IN("metadata", STRING, list.metadata),
    SBXI_IN("state", STRING, list.state),
    SBXI_IN("order", STRING, list.order),
    SBXI_IN("startedAfter", STRING, list.after),
    SBXI_IN("template", STRING, list.q.template_id),
    SBXI_IN("nextToken", STRING, list.token),
    SBXI_IN("limit", STRING, list.limit)
};
static const sbxi_shape sbxi_e2b_list = SBXI_SHAPE(sbxi_e2b_list_fields, sbxi_args);

static const sbxi_field sbxi_e2b_connect_fields[] = {
    SBXI_IN("timeout", INT, resume.timeout_s), SBXI_IN("memory", CHOICE, resume.memory)
};
static const sbxi_shape sbxi_e2b_connect = SBXI_SHAPE(sbxi_e2b_connect_fields, sbxi_args);

static const sbxi_field sbxi_e2b_timeout_fields[] = {
    { "timeout", NULL, SBXI_ARG(timeout_s), SBXI_ALWAYS, SBXI_T_INT }
};
static const sbxi_shape sbxi_e2b_timeout = SBXI_SHAPE(sbxi_e2b_timeout_fields, sbxi_args);

#ifndef SBX_NO_EXTRAS

static const sbxi_field sbxi_e2b_refresh_fields[] = {
    { "duration", NULL, SBXI_ARG(timeout_s), SBXI_ALWAYS, SBXI_T_INT }
};
static const sbxi_shape sbxi_e2b_refresh = SBXI_SHAPE(sbxi_e2b_refresh_fields, sbxi_args);

static const sbxi_field sbxi_e2b_pause_fields[] = {
    SBXI_IN("memory", CHOICE, pause.memory), SBXI_IN("requireHealthyGuest", CHOICE, pause.healthy)
};
static const sbxi_shape sbxi_e2b_pause = SBXI_SHAPE(sbxi_e2b_pause_fields, sbxi_args);

static const sbxi_field sbxi_e2b_fork_fields[] = {
    SBXI_IN("timeout", INT, fork.timeout_s), SBXI_IN("count", INT, fork.count)
};
static const sbxi_shape sbxi_e2b_fork = SBXI_SHAPE(sbxi_e2b_fork_fields, sbxi_args);
static const sbxi_field sbxi_e2b_forked_fields[] = {
    { "sandbox", &sbxi_e2b_access, offsetof(sbxi_fork_item, access), 0, SBXI_T_OBJECT },
    { "error", &sbxi_e2b_fault, offsetof(sbxi_fork_item, fault), 0, SBXI_T_OBJECT }
};
static const sbxi_shape sbxi_e2b_forked = SBXI_SHAPE(sbxi_e2b_forked_fields, sbxi_fork_item);

static const sbxi_field sbxi_e2b_snap_fields[] = {
    SBXI_IN("name", STRING, snapshot.name), SBXI_IN("memory", CHOICE, snapshot.memory)
};
static const sbxi_shape sbxi_e2b_snap = SBXI_SHAPE(sbxi_e2b_snap_fields, sbxi_args);
static const sbxi_field sbxi_e2b_snapshot_fields[] = {
    SBXI_FIELD("snapshotID", STRING, sbx_snapshot_info, id),
    SBXI_FIELD("names", STRINGS, sbx_snapshot_info, names)
};
static const sbxi_shape sbxi_e2b_snapshot = SBXI_SHAPE(sbxi_e2b_snapshot_fields,
    sbx_snapshot_info);
static const sbxi_field sbxi_e2b_snapshots_fields[] = {
    SBXI_IN("sandboxID", STRING, list.q.template_id),
    SBXI_IN("name", STRING, list.name),
    SBXI_IN("limit", STRING, list.limit),
    SBXI_IN("nextToken", STRING, list.token)
};
static const sbxi_shape sbxi_e2b_snapshots = SBXI_SHAPE(sbxi_e2b_snapshots_fields, sbxi_args);

static const sbxi_field sbxi_e2b_span_fields[] = {
    SBXI_IN("start", STRING, history.start), SBXI_IN("end", STRING, history.end)
};
static const sbxi_shape sbxi_e2b_span = SBXI_SHAPE(sbxi_e2b_span_fields, sbxi_args);
static const sbxi_field sbxi_e2b_metric_fields[] = {
    SBXI_FIELD("cpuCount", INT, sbx_metrics, cpu_count),
    SBXI_FIELD("cpuUsedPct", MILLI, sbx_metrics, cpu_used_milli),
    SBXI_FIELD("diskTotal", INT64, sbx_metrics, disk_total),
    SBXI_FIELD("diskUsed", INT64, sbx_metrics, disk_used),
    SBXI_FIELD("memCache", INT64, sbx_metrics, memory_cache),
    SBXI_FIELD("memTotal", INT64, sbx_metrics, memory_total),
    SBXI_FIELD("memUsed", INT64, sbx_metrics, memory_used),
    SBXI_FIELD("timestamp", TIME, sbx_metrics, unix_ms)
};
static const sbxi_shape sbxi_e2b_metric = SBXI_SHAPE(sbxi_e2b_metric_fields, sbx_metrics);

static const sbxi_field sbxi_e2b_logged_fields[] = {
    SBXI_IN("cursor", STRING, history.start),
    SBXI_IN("limit", STRING, history.limit),
    SBXI_IN("direction", STRING, history.direction),
    SBXI_IN("level", STRING, history.q.level),
    SBXI_IN("search", STRING, history.q.search)
};
static const sbxi_shape sbxi_e2b_logged = SBXI_SHAPE(sbxi_e2b_logged_fields, sbxi_args);
static const sbxi_field sbxi_e2b_log_fields[] = {
    SBXI_FIELD("timestamp", TIME, sbx_log, unix_ms),
    SBXI_FIELD("message", STRING, sbx_log, message),
    SBXI_FIELD("level", STRING, sbx_log, level),
    SBXI_FIELD("fields", PAIRS, sbx_log, fields)
};
static const sbxi_shape sbxi_e2b_log = SBXI_SHAPE(sbxi_e2b_log_fields, sbx_log);
static const sbxi_field sbxi_e2b_logs_fields[] = { SBXI_SUB("logs", EACH, sbxi_e2b_log) };
static const sbxi_shape sbxi_e2b_logs = SBXI_SHAPE(sbxi_e2b_logs_fields, sbx_log);

#endif

/* ---- processes ------------------------------------------------------------ */

static const sbxi_field sbxi_e2b_process_fields[] = {
    { "cmd", "/bin/bash", 0, 0, SBXI_T_LITERAL },
    SBXI_IN("args", STRINGS, command.argv),
    SBXI_IN("envs", PAIRS, command.o.envs),
    SBXI_IN("cwd", STRING, command.o.cwd)
};
static const sbxi_shape sbxi_e2b_process = SBXI_SHAPE(sbxi_e2b_process_fields, sbxi_args);

static const sbxi_field sbxi_e2b_size_fields[] = {
    SBXI_IN("cols", UINT, command.at.cols), SBXI_IN("rows", UINT, command.at.rows)
};
static const sbxi_shape sbxi_e2b_size = SBXI_SHAPE(sbxi_e2b_size_fields, sbxi_args);
static const sbxi_field sbxi_e2b_pty_fields[] = { SBXI_SUB("size", OBJECT, sbxi_e2b_size) };
static const sbxi_shape sbxi_e2b_pty = SBXI_SHAPE(sbxi_e2b_pty_fields, sbxi_args);

static const sbxi_field sbxi_e2b_start_fields[] = {
    SBXI_SUB("process", OBJECT, sbxi_e2b_process),
#ifndef SBX_NO_PTY
    SBXI_SUB("pty", OBJECT, sbxi_e2b_pty),
#endif
    SBXI_IN("tag", STRING, command.o.tag),
    SBXI_IN("stdin", CHOICE, command.stdin_open)
};
static const sbxi_shape sbxi_e2b_start = SBXI_SHAPE(sbxi_e2b_start_fields, sbxi_args);

static const sbxi_field sbxi_e2b_started_fields[] = { SBXI_FIELD("pid", UINT, sbxi_event, pid) };
static const sbxi_shape sbxi_e2b_started = SBXI_SHAPE(sbxi_e2b_started_fields, sbxi_event);

static const sbxi_field sbxi_e2b_data_fields[] = {
    { "stdout", NULL, 0, 1, SBXI_T_BYTES },
    { "stderr", NULL, 0, 2, SBXI_T_BYTES },
#ifndef SBX_NO_PTY
    { "pty", NULL, 0, 3, SBXI_T_BYTES }
#endif
};
static const sbxi_shape sbxi_e2b_data = SBXI_SHAPE(sbxi_e2b_data_fields, sbxi_event);

static const sbxi_field sbxi_e2b_end_fields[] = {
    SBXI_FIELD("exitCode", INT, sbxi_event, exit_code),
    SBXI_FIXED("status", sbxi_event, of.reason)
};
static const sbxi_shape sbxi_e2b_end = SBXI_SHAPE(sbxi_e2b_end_fields, sbxi_event);

static const sbxi_field sbxi_e2b_event_fields[] = {
    SBXI_FIELD("start", SEEN, sbxi_event, start),
    SBXI_SUB("start", OBJECT, sbxi_e2b_started),
    SBXI_FIELD("data", SEEN, sbxi_event, data),
    SBXI_SUB("data", OBJECT, sbxi_e2b_data),
    SBXI_FIELD("end", SEEN, sbxi_event, end),
    SBXI_SUB("end", OBJECT, sbxi_e2b_end),
    SBXI_FIELD("keepalive", SEEN, sbxi_event, alive)
};
static const sbxi_shape sbxi_e2b_event = SBXI_SHAPE(sbxi_e2b_event_fields, sbxi_event);

static const sbxi_field sbxi_e2b_message_fields[] = {
    SBXI_SUB("event", OBJECT, sbxi_e2b_event),
    SBXI_FIELD("error", SEEN, sbxi_event, failed),
    { "error", &sbxi_e2b_fault, offsetof(sbxi_event, of.fault), 0, SBXI_T_OBJECT }
};
static const sbxi_shape sbxi_e2b_message = SBXI_SHAPE(sbxi_e2b_message_fields, sbxi_event);

static const sbxi_field sbxi_e2b_config_fields[] = {
    SBXI_FIELD("cmd", STRING, sbx_process_info, cmd),
    SBXI_FIELD("args", STRINGS, sbx_process_info, args),
    SBXI_FIELD("envs", PAIRS, sbx_process_info, envs),
    SBXI_FIELD("cwd", STRING, sbx_process_info, cwd)
};
static const sbxi_shape sbxi_e2b_config = SBXI_SHAPE(sbxi_e2b_config_fields, sbx_process_info);

static const sbxi_field sbxi_e2b_listed_fields[] = {
    SBXI_SUB("config", OBJECT, sbxi_e2b_config),
    SBXI_FIELD("pid", UINT, sbx_process_info, pid),
    SBXI_FIELD("tag", STRING, sbx_process_info, tag)
};
static const sbxi_shape sbxi_e2b_listed = SBXI_SHAPE(sbxi_e2b_listed_fields, sbx_process_info);

static const sbxi_field sbxi_e2b_processes_fields[] = {
    SBXI_SUB("processes", EACH, sbxi_e2b_listed)
};
static const sbxi_shape sbxi_e2b_processes = SBXI_SHAPE(sbxi_e2b_processes_fields,
    sbx_process_info);

/* The process meant, by pid or tag: of streams, and of all else. */
static const sbxi_field sbxi_e2b_at_fields[] = {
    SBXI_IN("pid", UINT, command.at.pid), SBXI_IN("tag", STRING, command.at.tag)
};
static const sbxi_shape sbxi_e2b_at = SBXI_SHAPE(sbxi_e2b_at_fields, sbxi_args);
static const sbxi_field sbxi_e2b_attach_fields[] = { SBXI_SUB("process", OBJECT, sbxi_e2b_at) };
static const sbxi_shape sbxi_e2b_attach = SBXI_SHAPE(sbxi_e2b_attach_fields, sbxi_args);

static const sbxi_field sbxi_e2b_pid_fields[] = { SBXI_IN("pid", UINT, process.pid) };
static const sbxi_shape sbxi_e2b_pid = SBXI_SHAPE(sbxi_e2b_pid_fields, sbxi_args);
static const sbxi_field sbxi_e2b_kill_fields[] = {
    SBXI_SUB("process", OBJECT, sbxi_e2b_pid),
    { "signal", "SIGNAL_SIGKILL", 0, 0, SBXI_T_LITERAL }
};
static const sbxi_shape sbxi_e2b_kill = SBXI_SHAPE(sbxi_e2b_kill_fields, sbxi_args);
static const sbxi_field sbxi_e2b_term_fields[] = {
    SBXI_SUB("process", OBJECT, sbxi_e2b_pid),
    { "signal", "SIGNAL_SIGTERM", 0, 0, SBXI_T_LITERAL }
};
static const sbxi_shape sbxi_e2b_term = SBXI_SHAPE(sbxi_e2b_term_fields, sbxi_args);
static const sbxi_shape sbxi_e2b_one = { sbxi_e2b_kill_fields, 1, sizeof(sbxi_args) };

static const sbxi_field sbxi_e2b_typed_fields[] = { SBXI_IN("pty", BYTES, process.data) };
static const sbxi_shape sbxi_e2b_typed = SBXI_SHAPE(sbxi_e2b_typed_fields, sbxi_args);
static const sbxi_field sbxi_e2b_piped_fields[] = { SBXI_IN("stdin", BYTES, process.data) };
static const sbxi_shape sbxi_e2b_piped = SBXI_SHAPE(sbxi_e2b_piped_fields, sbxi_args);
static const sbxi_field sbxi_e2b_type_fields[] = {
    SBXI_SUB("process", OBJECT, sbxi_e2b_pid), SBXI_SUB("input", OBJECT, sbxi_e2b_typed)
};
static const sbxi_shape sbxi_e2b_type = SBXI_SHAPE(sbxi_e2b_type_fields, sbxi_args);
static const sbxi_field sbxi_e2b_pipe_fields[] = {
    SBXI_SUB("process", OBJECT, sbxi_e2b_pid), SBXI_SUB("input", OBJECT, sbxi_e2b_piped)
};
static const sbxi_shape sbxi_e2b_pipe = SBXI_SHAPE(sbxi_e2b_pipe_fields, sbxi_args);

static const sbxi_field sbxi_e2b_new_size_fields[] = {
    SBXI_IN("cols", UINT, process.cols), SBXI_IN("rows", UINT, process.rows)
};
static const sbxi_shape sbxi_e2b_new_size = SBXI_SHAPE(sbxi_e2b_new_size_fields, sbxi_args);
static const sbxi_field sbxi_e2b_new_pty_fields[] = { SBXI_SUB("size", OBJECT, sbxi_e2b_new_size) };
static const sbxi_shape sbxi_e2b_new_pty = SBXI_SHAPE(sbxi_e2b_new_pty_fields, sbxi_args);
static const sbxi_field sbxi_e2b_resize_fields[] = {
    SBXI_SUB("process", OBJECT, sbxi_e2b_pid), SBXI_SUB("pty", OBJECT, sbxi_e2b_new_pty)
};
static const sbxi_shape sbxi_e2b_resize = SBXI_SHAPE(sbxi_e2b_resize_fields, sbxi_args);

#ifndef SBX_NO_RUN_CODE
static const sbxi_field sbxi_e2b_execute_fields[] = {
    SBXI_IN("code", STRING, code.code),
    { "context_id", NULL, SBXI_ARG(code.o.context_id), SBXI_OR_NULL, SBXI_T_STRING },
    { "language", NULL, SBXI_ARG(code.o.language), SBXI_OR_NULL, SBXI_T_STRING },
    { "env_vars", NULL, SBXI_ARG(code.o.envs), SBXI_OR_NULL, SBXI_T_PAIRS }
};
static const sbxi_shape sbxi_e2b_execute = SBXI_SHAPE(sbxi_e2b_execute_fields, sbxi_args);
#endif

/* ---- files ---------------------------------------------------------------- */

/* "file" and so on come from POST /files, FILE_TYPE_* from the RPCs. */
static const char *const sbxi_e2b_kinds[] = { "FILE_TYPE_FILE", "FILE_TYPE_DIRECTORY",
    "FILE_TYPE_SYMLINK", NULL };
static const char *const sbxi_e2b_plain_kinds[] = { "file", "dir", "symlink", NULL };

static const sbxi_field sbxi_e2b_file_fields[] = {
    SBXI_FIELD("name", STRING, sbx_file_info, name),
    { "type", sbxi_e2b_kinds, offsetof(sbx_file_info, type), 0, SBXI_T_ENUM },
    SBXI_FIELD("path", STRING, sbx_file_info, path),
    SBXI_FIELD("size", INT64, sbx_file_info, size),
    SBXI_FIELD("mode", UINT, sbx_file_info, mode),
    SBXI_FIELD("permissions", STRING, sbx_file_info, permissions),
    SBXI_FIELD("owner", STRING, sbx_file_info, owner),
    SBXI_FIELD("group", STRING, sbx_file_info, group),
    SBXI_FIELD("modifiedTime", TIME, sbx_file_info, modified_unix_ms),
    SBXI_FIELD("symlinkTarget", STRING, sbx_file_info, symlink_target),
    SBXI_FIELD("isSymlink", BOOL, sbx_file_info, is_symlink),
    SBXI_FIELD("metadata", PAIRS, sbx_file_info, metadata)
};
static const sbxi_shape sbxi_e2b_file = SBXI_SHAPE(sbxi_e2b_file_fields, sbx_file_info);

static const sbxi_field sbxi_e2b_written_fields[] = {
    SBXI_FIELD("path", STRING, sbx_file_info, path),
    SBXI_FIELD("name", STRING, sbx_file_info, name),
    { "type", sbxi_e2b_plain_kinds, offsetof(sbx_file_info, type), 0, SBXI_T_ENUM },
    SBXI_FIELD("metadata", PAIRS, sbx_file_info, metadata)
};
static const sbxi_shape sbxi_e2b_written = SBXI_SHAPE(sbxi_e2b_written_fields, sbx_file_info);

static const sbxi_field sbxi_e2b_entry_fields[] = { SBXI_SUB("entry", OBJECT, sbxi_e2b_file) };
static const sbxi_shape sbxi_e2b_entry = SBXI_SHAPE(sbxi_e2b_entry_fields, sbx_file_info);

static const sbxi_field sbxi_e2b_entries_fields[] = { SBXI_SUB("entries", EACH, sbxi_e2b_file) };
static const sbxi_shape sbxi_e2b_entries = SBXI_SHAPE(sbxi_e2b_entries_fields, sbx_file_info);

/* What watches tell. */
static const char *const sbxi_e2b_changes[] = { "EVENT_TYPE_CREATE", "EVENT_TYPE_WRITE",
    "EVENT_TYPE_REMOVE", "EVENT_TYPE_RENAME", "EVENT_TYPE_CHMOD", NULL };
static const sbxi_field sbxi_e2b_change_fields[] = {
    SBXI_FIELD("name", STRING, sbxi_watch_item, event.name),
    { "type", sbxi_e2b_changes, offsetof(sbxi_watch_item, event.type), 0, SBXI_T_ENUM },
    SBXI_FIELD("entry", SEEN, sbxi_watch_item, has_entry),
    { "entry", &sbxi_e2b_file, offsetof(sbxi_watch_item, entry), 0, SBXI_T_OBJECT }
};
static const sbxi_shape sbxi_e2b_change = SBXI_SHAPE(sbxi_e2b_change_fields, sbxi_watch_item);
static const sbxi_field sbxi_e2b_changed_fields[] = { SBXI_SUB("events", EACH, sbxi_e2b_change) };
static const sbxi_shape sbxi_e2b_changed = SBXI_SHAPE(sbxi_e2b_changed_fields, sbxi_watch_item);

typedef struct sbxi_e2b_news {  /* one message of a stream of them */
    sbxi_watch_item item;
    bool start, changed, alive, failed;
    sbxi_fault fault;
} sbxi_e2b_news;

static const sbxi_field sbxi_e2b_news_fields[] = {
    SBXI_FIELD("start", SEEN, sbxi_e2b_news, start),
    SBXI_FIELD("filesystem", SEEN, sbxi_e2b_news, changed),
    { "filesystem", &sbxi_e2b_change, offsetof(sbxi_e2b_news, item), 0, SBXI_T_OBJECT },
    SBXI_FIELD("keepalive", SEEN, sbxi_e2b_news, alive),
    SBXI_FIELD("error", SEEN, sbxi_e2b_news, failed),
    { "error", &sbxi_e2b_fault, offsetof(sbxi_e2b_news, fault), 0, SBXI_T_OBJECT }
};
static const sbxi_shape sbxi_e2b_message_of_watch = SBXI_SHAPE(sbxi_e2b_news_fields, sbxi_e2b_news);

typedef struct sbxi_e2b_watcher { const char *id; } sbxi_e2b_watcher;
static const sbxi_field sbxi_e2b_watcher_fields[] = {
    SBXI_FIELD("watcherId", STRING, sbxi_e2b_watcher, id)
};
static const sbxi_shape sbxi_e2b_new_watcher = SBXI_SHAPE(sbxi_e2b_watcher_fields,
    sbxi_e2b_watcher);
static const sbxi_field sbxi_e2b_watcher_is_fields[] = {
    SBXI_IN("watcherId", STRING, files.watcher)
};
static const sbxi_shape sbxi_e2b_watcher_is = SBXI_SHAPE(sbxi_e2b_watcher_is_fields, sbxi_args);

static const sbxi_field sbxi_e2b_watch_fields[] = {
    SBXI_IN("path", STRING, files.path),
    SBXI_IN("recursive", CHOICE, files.as.w.recursive),
    SBXI_IN("includeEntry", CHOICE, files.as.w.entries),
    SBXI_IN("allowNetworkMounts", CHOICE, files.as.w.network_mounts)
};
static const sbxi_shape sbxi_e2b_watch = SBXI_SHAPE(sbxi_e2b_watch_fields, sbxi_args);

static const sbxi_field sbxi_e2b_path_fields[] = { SBXI_IN("path", STRING, files.path) };
static const sbxi_shape sbxi_e2b_path = SBXI_SHAPE(sbxi_e2b_path_fields, sbxi_args);

static const sbxi_field sbxi_e2b_dir_fields[] = {
    SBXI_IN("path", STRING, files.path), SBXI_IN("depth", INT, files.o.depth)
};
static const sbxi_shape sbxi_e2b_dir = SBXI_SHAPE(sbxi_e2b_dir_fields, sbxi_args);

static const sbxi_field sbxi_e2b_move_fields[] = {
    SBXI_IN("source", STRING, files.path), SBXI_IN("destination", STRING, files.to)
};
static const sbxi_shape sbxi_e2b_move = SBXI_SHAPE(sbxi_e2b_move_fields, sbxi_args);

/* Order as recorded: path first for reads and raw bodies, user first else. */
static const sbxi_field sbxi_e2b_path_user_fields[] = {
    SBXI_IN("path", STRING, files.path), SBXI_IN("username", STRING, files.o.user)
};
static const sbxi_shape sbxi_e2b_path_user = SBXI_SHAPE(sbxi_e2b_path_user_fields, sbxi_args);

static const sbxi_field sbxi_e2b_user_path_fields[] = {
    SBXI_IN("username", STRING, files.o.user), SBXI_IN("path", STRING, files.path)
};
static const sbxi_shape sbxi_e2b_user_path = SBXI_SHAPE(sbxi_e2b_user_path_fields, sbxi_args);

/* ---- routes --------------------------------------------------------------- */

enum { SBXI_E2B_NEW, SBXI_E2B_ONE, SBXI_E2B_ROOT, SBXI_E2B_PROCESS, SBXI_E2B_FILES,
    SBXI_E2B_SNAPSHOTS, SBXI_E2B_TEMPLATES, SBXI_E2B_OLD };
static const char *const sbxi_e2b_prefixes[] = { "/v2/sandboxes", "/sandboxes/{id}", "",
    "/process.Process/", "/filesystem.Filesystem/", "/snapshots", "/templates",
    "/sandboxes" };

/* How the routes of one family begin: prefix, method, host, retry. */
#define SBXI_ALL(method) SBXI_E2B_NEW, method, SBXI_HOST_CONTROL
#define SBXI_ONE(method) SBXI_E2B_ONE, method, SBXI_HOST_CONTROL, SBXI_RETRY_SAFE
#define SBXI_MAKE SBXI_E2B_ONE, SBXI_POST, SBXI_HOST_CONTROL, SBXI_RETRY_REJECTED
#define SBXI_PLAIN(method) SBXI_E2B_ROOT, method, SBXI_HOST_SANDBOX, SBXI_RETRY_NEVER
#define SBXI_RPC(prefix) SBXI_E2B_##prefix, SBXI_POST, SBXI_HOST_SANDBOX, SBXI_RETRY_NEVER

/* Whole rows: a stream of events, a call about a process, its input as a stream. */
#define SBXI_STREAM(feature, path, fields, rules) { path, &sbxi_e2b_##fields, \
    &sbxi_e2b_message, SBXI_RPC(PROCESS), SBXI_SEND_ENVELOPE, SBXI_RECV_EVENTS, rules, feature }
/* Time ends the process that is started; of one that is followed only the stream. */
#define SBXI_START(feature) SBXI_STREAM(feature, "Start", start, SBXI_E2B_DEADLINE_KILLS)
#define SBXI_FOLLOW(feature) SBXI_STREAM(feature, "Connect", attach, 0)
#define SBXI_TELL(feature, path, fields, rules) { path, &sbxi_e2b_##fields, NULL, \
    SBXI_RPC(PROCESS), SBXI_SEND_JSON, SBXI_RECV_NOTHING, rules, feature }
#define SBXI_READ(feature) { "/files", &sbxi_e2b_path_user, NULL, SBXI_PLAIN(SBXI_GET), \
    SBXI_SEND_NOTHING, SBXI_RECV_SINK, SBXI_E2B_NO_RANGE_IS_NO, feature }
#define SBXI_INPUT(feature) { "StreamInput", NULL, &sbxi_e2b_message, SBXI_RPC(PROCESS), \
    SBXI_SEND_INPUT, SBXI_RECV_EVENTS, 0, feature }

enum { SBXI_E2B_WRITE_RAW = SBXI_ROUTE_OWN, SBXI_E2B_NEW_WATCHER, SBXI_E2B_OLD_CREATE,
    SBXI_E2B_OLD_CONNECT, SBXI_E2B_OLD_PAUSE };

static const sbxi_route sbxi_e2b_routes[] = {
    { "", &sbxi_e2b_create, &sbxi_e2b_access, SBXI_ALL(SBXI_POST),
        SBXI_RETRY_REJECTED, SBXI_SEND_JSON, SBXI_RECV_RESULT, 0, SBX_FEATURE_SANDBOX_CREATE },
    { "/{id}/connect", &sbxi_e2b_connect, &sbxi_e2b_access,
        SBXI_ALL(SBXI_POST), SBXI_RETRY_SAFE, SBXI_SEND_JSON, SBXI_RECV_RESULT, 0,
        SBX_FEATURE_SANDBOX_CONNECT },
    { "", NULL, &sbxi_e2b_info, SBXI_ONE(SBXI_GET),
        SBXI_SEND_NOTHING, SBXI_RECV_RESULT, 0, SBX_FEATURE_SANDBOX_GET_INFO },
    { "", &sbxi_e2b_list, &sbxi_e2b_info, SBXI_ALL(SBXI_GET),
        SBXI_RETRY_SAFE, SBXI_SEND_NOTHING, SBXI_RECV_EACH, 0, SBX_FEATURE_SANDBOX_LIST },
    { "/timeout", &sbxi_e2b_timeout, NULL, SBXI_ONE(SBXI_POST),
        SBXI_SEND_JSON, SBXI_RECV_NOTHING, 0, SBX_FEATURE_SANDBOX_SET_TIMEOUT },
    { "", NULL, NULL, SBXI_ONE(SBXI_DELETE),
        SBXI_SEND_NOTHING, SBXI_RECV_NOTHING, SBXI_E2B_MISSING_IS_NO, SBX_FEATURE_SANDBOX_KILL },
    { "/health", NULL, NULL, SBXI_PLAIN(SBXI_GET),
        SBXI_SEND_NOTHING, SBXI_RECV_NOTHING, SBXI_E2B_GONE_IS_NO, SBX_FEATURE_SANDBOX_IS_RUNNING },
    { "", NULL, NULL, 0, 0, 0, 0, 0, 0, 0, SBX_FEATURE_SANDBOX_HOST }, /* sbxi_e2b_host() */
    { "", NULL, NULL, SBXI_E2B_ROOT, 0, 0, 0, 0, SBXI_RECV_SINK, 0, SBX_FEATURE_INVOKE },
#ifndef SBX_NO_RUN_CODE
    { "/execute", &sbxi_e2b_execute, NULL, SBXI_E2B_ROOT, SBXI_POST, SBXI_HOST_CODE,
        SBXI_RETRY_NEVER, SBXI_SEND_JSON, SBXI_RECV_LINES, SBXI_E2B_RUNS_CODE,
        SBX_FEATURE_RUN_CODE },
#endif
    SBXI_START(SBX_FEATURE_COMMAND_RUN),
    { "List", NULL, &sbxi_e2b_processes, SBXI_RPC(PROCESS),
        SBXI_SEND_JSON, SBXI_RECV_EACH_INSIDE, 0, SBX_FEATURE_COMMAND_LIST },
    SBXI_TELL(SBX_FEATURE_COMMAND_KILL, "SendSignal", kill, SBXI_E2B_MISSING_IS_NO),
    SBXI_TELL(SBX_FEATURE_COMMAND_SIGNAL, "SendSignal", term, SBXI_E2B_MISSING_IS_NO),
    SBXI_TELL(SBX_FEATURE_COMMAND_SEND_STDIN, "SendInput", pipe, 0),
    SBXI_TELL(SBX_FEATURE_COMMAND_CLOSE_STDIN, "CloseStdin", one, 0),
    SBXI_READ(SBX_FEATURE_FILES_READ),
    { "/files", &sbxi_e2b_user_path, &sbxi_e2b_written,
        SBXI_PLAIN(SBXI_POST), SBXI_SEND_MULTIPART, SBXI_RECV_EACH, 0, SBX_FEATURE_FILES_WRITE },
    { "/files", &sbxi_e2b_user_path, &sbxi_e2b_written,
        SBXI_PLAIN(SBXI_POST), SBXI_SEND_MULTIPART, SBXI_RECV_EACH, 0,
        SBX_FEATURE_FILES_WRITE_MANY },
    { "ListDir", &sbxi_e2b_dir, &sbxi_e2b_entries, SBXI_RPC(FILES),
        SBXI_SEND_JSON, SBXI_RECV_EACH_INSIDE, 0, SBX_FEATURE_FILES_LIST },
    { "Stat", &sbxi_e2b_path, &sbxi_e2b_entry, SBXI_RPC(FILES),
        SBXI_SEND_JSON, SBXI_RECV_RESULT, 0, SBX_FEATURE_FILES_STAT },
    { "Stat", &sbxi_e2b_path, NULL, SBXI_RPC(FILES),
        SBXI_SEND_JSON, SBXI_RECV_NOTHING, SBXI_E2B_MISSING_IS_NO, SBX_FEATURE_FILES_EXISTS },
    { "Remove", &sbxi_e2b_path, NULL, SBXI_RPC(FILES),
        SBXI_SEND_JSON, SBXI_RECV_NOTHING, 0, SBX_FEATURE_FILES_REMOVE },
    { "Move", &sbxi_e2b_move, &sbxi_e2b_entry, SBXI_RPC(FILES),
        SBXI_SEND_JSON, SBXI_RECV_RESULT, 0, SBX_FEATURE_FILES_RENAME },
    { "MakeDir", &sbxi_e2b_path, NULL, SBXI_RPC(FILES),
        SBXI_SEND_JSON, SBXI_RECV_NOTHING, SBXI_E2B_EXISTS_IS_NO, SBX_FEATURE_FILES_MAKE_DIR },
#ifndef SBX_NO_EXTRAS
    { "/{id}/connect", &sbxi_e2b_connect, &sbxi_e2b_access,
        SBXI_ALL(SBXI_POST), SBXI_RETRY_SAFE, SBXI_SEND_JSON, SBXI_RECV_RESULT, 0,
        SBX_FEATURE_SANDBOX_RESUME },
    { "/pause", &sbxi_e2b_pause, NULL, SBXI_ONE(SBXI_POST),
        SBXI_SEND_JSON, SBXI_RECV_NOTHING, SBXI_E2B_CONFLICT_IS_NO, SBX_FEATURE_SANDBOX_PAUSE },
    { "/refreshes", &sbxi_e2b_refresh, NULL, SBXI_ONE(SBXI_POST),
        SBXI_SEND_JSON, SBXI_RECV_NOTHING, 0, SBX_FEATURE_SANDBOX_REFRESH },
    { "/network", &sbxi_e2b_rules_of, NULL,
        SBXI_ONE(SBXI_PUT), SBXI_SEND_JSON, SBXI_RECV_NOTHING, 0, SBX_FEATURE_SANDBOX_SET_NETWORK },
    { "/metrics", &sbxi_e2b_span, &sbxi_e2b_metric,
        SBXI_ONE(SBXI_GET), SBXI_SEND_NOTHING, SBXI_RECV_EACH, 0, SBX_FEATURE_SANDBOX_METRICS },
    { "/{id}/logs", &sbxi_e2b_logged, &sbxi_e2b_logs,
        SBXI_ALL(SBXI_GET), SBXI_RETRY_SAFE, SBXI_SEND_NOTHING, SBXI_RECV_EACH_INSIDE, 0,
        SBX_FEATURE_SANDBOX_LOGS },
    { "/fork", &sbxi_e2b_fork, &sbxi_e2b_forked, SBXI_MAKE,
        SBXI_SEND_JSON, SBXI_RECV_EACH, 0, SBX_FEATURE_SANDBOX_FORK },
    { "/snapshots", &sbxi_e2b_snap, &sbxi_e2b_snapshot,
        SBXI_MAKE, SBXI_SEND_JSON, SBXI_RECV_RESULT, 0, SBX_FEATURE_SNAPSHOT_CREATE },
    { "", &sbxi_e2b_snapshots, &sbxi_e2b_snapshot,
        SBXI_E2B_SNAPSHOTS, SBXI_GET, SBXI_HOST_CONTROL, SBXI_RETRY_SAFE, SBXI_SEND_NOTHING,
        SBXI_RECV_EACH, 0, SBX_FEATURE_SNAPSHOT_LIST },
    { "/{id}", NULL, NULL, SBXI_E2B_TEMPLATES, SBXI_DELETE,
        SBXI_HOST_CONTROL, SBXI_RETRY_SAFE, SBXI_SEND_NOTHING, SBXI_RECV_NOTHING,
        SBXI_E2B_MISSING_IS_NO, SBX_FEATURE_SNAPSHOT_DELETE },
    { "", NULL, NULL, 0, 0, 0, 0, 0, 0, 0, SBX_FEATURE_SANDBOX_MCP_URL }, /* computed */
    SBXI_READ(SBX_FEATURE_FILES_READ_BYTES),
    { "/files", NULL, NULL, SBXI_PLAIN(SBXI_GET), SBXI_SEND_NOTHING,
        SBXI_RECV_NOTHING, 0, SBX_FEATURE_FILES_URL },
#endif
#ifndef SBX_NO_PROC
    SBXI_START(SBX_FEATURE_COMMAND_START),
    SBXI_FOLLOW(SBX_FEATURE_COMMAND_CONNECT),
    SBXI_INPUT(SBX_FEATURE_COMMAND_STREAM_STDIN),
#endif
#ifndef SBX_NO_PTY
    SBXI_START(SBX_FEATURE_PTY_CREATE),
    SBXI_FOLLOW(SBX_FEATURE_PTY_CONNECT),
    SBXI_TELL(SBX_FEATURE_PTY_RESIZE, "Update", resize, 0),
    SBXI_TELL(SBX_FEATURE_PTY_SEND_INPUT, "SendInput", type, 0),
    SBXI_INPUT(SBX_FEATURE_PTY_STREAM_INPUT),
#endif
#ifndef SBX_NO_WATCH
    { "WatchDir", &sbxi_e2b_watch, &sbxi_e2b_message_of_watch,
        SBXI_RPC(FILES), SBXI_SEND_ENVELOPE, SBXI_RECV_EVENTS, SBXI_E2B_NO_STREAM,
        SBX_FEATURE_FILES_WATCH },
    { "GetWatcherEvents", &sbxi_e2b_watcher_is, &sbxi_e2b_changed,
        SBXI_RPC(FILES), SBXI_SEND_JSON, SBXI_RECV_EACH_INSIDE, 0, SBX_FEATURE_WATCH_POLL },
    { "RemoveWatcher", &sbxi_e2b_watcher_is, NULL, SBXI_RPC(FILES),
        SBXI_SEND_JSON, SBXI_RECV_NOTHING, SBXI_E2B_MISSING_IS_NO, SBX_FEATURE_WATCH_STOP },
    { "CreateWatcher", &sbxi_e2b_watch, &sbxi_e2b_new_watcher,
        SBXI_RPC(FILES), SBXI_SEND_JSON, SBXI_RECV_RESULT, SBXI_E2B_NO_STREAM,
        SBXI_E2B_NEW_WATCHER },
#endif
#ifndef SBX_NO_EXTRAS
    { "", &sbxi_e2b_old_create, &sbxi_e2b_access, SBXI_E2B_OLD, SBXI_POST,
        SBXI_HOST_CONTROL, SBXI_RETRY_REJECTED, SBXI_SEND_JSON, SBXI_RECV_RESULT, 0,
        SBXI_E2B_OLD_CREATE },
    { "/connect", &sbxi_e2b_timeout, &sbxi_e2b_access,
        SBXI_ONE(SBXI_POST), SBXI_SEND_JSON, SBXI_RECV_RESULT, 0, SBXI_E2B_OLD_CONNECT },
    { "/pause", NULL, NULL, SBXI_ONE(SBXI_POST), SBXI_SEND_NOTHING,
        SBXI_RECV_NOTHING, SBXI_E2B_CONFLICT_IS_NO, SBXI_E2B_OLD_PAUSE },
#endif
#ifndef SBX_NO_TEMPLATE
    SBXI_E2B_TEMPLATE_ROUTES
#endif
    { "", NULL, &sbxi_e2b_access, SBXI_ONE(SBXI_GET),
        SBXI_SEND_NOTHING, SBXI_RECV_RESULT, 0, SBXI_ROUTE_ACCESS },
    { "/files", &sbxi_e2b_path_user, &sbxi_e2b_written,
        SBXI_PLAIN(SBXI_POST), SBXI_SEND_RAW, SBXI_RECV_EACH, 0, SBXI_E2B_WRITE_RAW },
    { NULL, NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0 }
};

/* ---- routes of sbx_invoke(): only that function refers to them -------------- */

#define SBXI_VOLUME "/volumecontent/{volumeID}/"

static SBXI_MAYBE const char sbxi_e2b_invoke[] =
    SBXI_INVOKE(POST, CODE, REJECTED, JSON, "contexts.create", "/contexts")
    SBXI_INVOKE(GET, CODE, SAFE, NONE, "contexts.list", "/contexts")
    SBXI_INVOKE(POST, CODE, NEVER, NONE, "contexts.restart", "/contexts/{contextID}/restart")
    SBXI_INVOKE(DELETE, CODE, SAFE, NONE, "contexts.delete", "/contexts/{contextID}")
    SBXI_INVOKE(GET, SANDBOX, SAFE, NONE, "sandbox.envs", "/envs")
    SBXI_INVOKE(GET, SANDBOX, SAFE, NONE, "sandbox.metrics", "/metrics")
    SBXI_INVOKE(POST, SANDBOX, NEVER, JSON, "sandbox.files.compose", "/files/compose")
    SBXI_INVOKE(GET, CONTROL, SAFE, NONE, "sandboxes.logs.v1",
                "/sandboxes/{sandboxID}/logs?{start}{limit}")
    SBXI_INVOKE(GET, CONTROL, SAFE, NONE, "sandboxes.metrics", "/sandboxes/metrics?{sandbox_ids}")
    SBXI_INVOKE(POST, CONTROL, REJECTED, JSON, "secrets.create", "/secrets")
    SBXI_INVOKE(GET, CONTROL, SAFE, NONE, "secrets.list", "/secrets?{limit}{nextToken}")
    SBXI_INVOKE(GET, CONTROL, SAFE, NONE, "secrets.get", "/secrets/{secretID}")
    SBXI_INVOKE(POST, CONTROL, REJECTED, JSON, "secrets.update", "/secrets/{secretID}")
    SBXI_INVOKE(DELETE, CONTROL, SAFE, NONE, "secrets.delete", "/secrets/{secretID}")
    SBXI_INVOKE(GET, CONTROL, SAFE, NONE, "teams.list", "/teams#{token}")
    SBXI_INVOKE(GET, CONTROL, SAFE, NONE, "templates.list", "/v2/templates")
    SBXI_INVOKE(GET, CONTROL, SAFE, NONE, "templates.get",
                "/templates/{templateID}?{nextToken}{limit}")
    SBXI_INVOKE(PATCH, CONTROL, SAFE, JSON, "templates.update", "/v2/templates/{templateID}")
    SBXI_INVOKE(GET, CONTROL, SAFE, NONE, "templates.logs",
                "/templates/{templateID}/builds/{buildID}/logs"
                "?{cursor}{limit}{direction}{level}{source}")
    SBXI_INVOKE(POST, CONTROL, REJECTED, JSON, "volumes.create", "/volumes")
    SBXI_INVOKE(GET, CONTROL, SAFE, NONE, "volumes.list", "/volumes")
    SBXI_INVOKE(GET, CONTROL, SAFE, NONE, "volumes.get", "/volumes/{volumeID}")
    SBXI_INVOKE(DELETE, CONTROL, SAFE, NONE, "volumes.delete", "/volumes/{volumeID}")
    SBXI_INVOKE(GET, CONTROL, SAFE, NONE, "volumes.files.list",
                SBXI_VOLUME "dir?{path}{depth}#{token}")
    SBXI_INVOKE(POST, CONTROL, REJECTED, NONE, "volumes.files.make_dir",
                SBXI_VOLUME "dir?{path}{uid}{gid}{mode}{force}#{token}")
    SBXI_INVOKE(GET, CONTROL, SAFE, NONE, "volumes.files.stat", SBXI_VOLUME "path?{path}#{token}")
    SBXI_INVOKE(PATCH, CONTROL, SAFE, JSON, "volumes.files.update",
                SBXI_VOLUME "path?{path}#{token}")
    SBXI_INVOKE(DELETE, CONTROL, SAFE, NONE, "volumes.files.remove",
                SBXI_VOLUME "path?{path}#{token}")
    SBXI_INVOKE(GET, CONTROL, SAFE, FILE, "volumes.files.read", SBXI_VOLUME "file?{path}#{token}")
    SBXI_INVOKE(PUT, CONTROL, SAFE, CONTENT, "volumes.files.write",
                SBXI_VOLUME "file?{path}{uid}{gid}{mode}{force}#{token}");

#undef SBXI_VOLUME

/* ---- what no table says: base URLs and headers ---------------------------- */

/* Domains whose sandboxes are reached through one shared host and headers. */
static bool sbxi_e2b_shared_host(const char *domain)
{
    static const char known[] = "|e2b.app|e2b.dev|e2b.pro|e2b-staging.dev|e2b-tango.dev"
        "|e2b-juliett.dev|foxtrot-2.e2b.dev|";
    size_t n = strlen(domain);
    const char *at = strstr(known + 1, domain);
    return n > 0 && at && at[-1] == '|' && at[n] == '|';
}

/* The sandbox's base URL; a shared host wants headers, so it is of no use to others. */
static const char *sbxi_e2b_data_url(const sbx_op *op, bool share)
{
    const sbx_client *c = op->client;
    if (op->sandbox->access.data_url) return op->sandbox->access.data_url;
    if (c->config.sandbox_url) return c->config.sandbox_url;
    if (c->debug) return "http://localhost:{port}";
    return share && !c->dialect && sbxi_e2b_shared_host(sbxi_op_domain(op))
        ? "https://sandbox.{domain}" : "https://{port}-{id}.{domain}";
}

static const char *sbxi_e2b_base(const sbx_op *op)
{
    const sbx_client *c = op->client;
    if (op->route->host != SBXI_HOST_CONTROL) return sbxi_e2b_data_url(op, true);
    if (c->config.api_url) return c->config.api_url;
    return c->debug ? "http://localhost:3000" : "https://api.{domain}";
}

/* Files and commands name a user; a daemon before 0.4.0 has no default one. */
static const char *sbxi_e2b_user(const sbx_op *op)
{
    const char *user = NULL;
    if (op->feature >= SBX_FEATURE_FILES_READ)
        user = op->args.of.files.o.user;
    else if (op->route->fields == &sbxi_e2b_start)
        user = op->args.of.command.o.user;
    else
        return NULL;
    return user ? user : op->client->dialect || sbxi_older(op->sandbox, SBXI_VERSION(0, 4, 0))
        ? "user" : NULL;
}

/* How long the service may work: the life of a command or a watch, a unary call's
   total; input may take as long as it likes. */
static int32_t sbxi_e2b_limit_ms(const sbx_op *op)
{
    const sbx_command_options *o = &op->args.of.command.o;
    int32_t ms = op->call.timeout_ms;
    if (op->route->recv != SBXI_RECV_EVENTS)
        return ms ? ms : op->client->link.clocks.total_ms;
    if (SBXI_HAS_WATCH && op->feature == SBX_FEATURE_FILES_WATCH)
        return op->args.of.files.as.w.timeout_ms;
    if (SBXI_HAS_PROC && op->route->send == SBXI_SEND_INPUT) return ms;
    return o->timeout_ms ? o->timeout_ms : op->client->provider->command_ms;
}

/* A range to read; what to keep of a file that is written. */
static void sbxi_e2b_file_headers(sbx_op *op)
{
    const sbx_files_options *o = &op->args.of.files.o;
    sbxi_buf *b = &op->out.text;
    size_t i;
    if (op->route->method == SBXI_GET) {
        if (!SBXI_HAS_EXTRAS || (!o->offset && !o->length)) return;
        sbxi_buf_text(b, "Range: bytes=");
        sbxi_buf_u64(b, (uint64_t)o->offset);
        sbxi_buf_text(b, "-");
        if (o->length && o->length <= INT64_MAX - o->offset)
            sbxi_buf_u64(b, (uint64_t)(o->offset + o->length - 1));
        sbxi_buf_text(b, "\r\n");
        return;
    }
    if (sbxi_op_zips(op)) sbxi_buf_text(b, "Content-Encoding: gzip\r\n");
    for (i = 0; SBXI_HAS_EXTRAS && i < o->metadata.count; i++) {
        sbxi_buf_text(b, "X-Metadata-");
        sbxi_header_line(b, o->metadata.items[i].key, o->metadata.items[i].value);
    }
}

/* What goes with each RPC. */
static void sbxi_e2b_rpc_headers(sbx_op *op)
{
    const sbxi_route *route = op->route;
    sbxi_buf *b = &op->out.text;
    int32_t ms = sbxi_e2b_limit_ms(op);
    sbxi_buf_text(b, "Connect-Protocol-Version: 1\r\n");
    if (ms > 0) {
        sbxi_buf_text(b, "Connect-Timeout-Ms: ");
        sbxi_buf_u64(b, (uint32_t)ms);
        sbxi_buf_text(b, "\r\n");
    }
    if (route->send == SBXI_SEND_ENVELOPE
        || (SBXI_HAS_WATCH && route->fields == &sbxi_e2b_watch))
        sbxi_buf_text(b, "Keepalive-Ping-Interval: 50\r\n");
    sbxi_op_user(op, sbxi_e2b_user(op));
}

/* What a sandbox is told by every route into it. */
static void sbxi_e2b_box_headers(sbx_op *op)
{
    const sbx_sandbox *s = op->sandbox;
    sbxi_buf *b = &op->out.text;
    bool code = op->route->host == SBXI_HOST_CODE;
    sbxi_header_line(b, "E2b-Sandbox-Id", s->id);
    sbxi_header_line(b, "E2b-Sandbox-Port", sbxi_op_port(op));
    if (!code || !sbxi_op_invoked(op))
        sbxi_header_line(b, "X-Access-Token", s->access.access_token);
    if (code) sbxi_header_line(b, "E2B-Traffic-Access-Token", s->access.traffic_token);
}

/* The API key never goes to a sandbox. */
static void sbxi_e2b_headers(sbx_op *op)
{
    const sbxi_route *route = op->route;
    sbxi_buf *b = &op->out.text;
    if (route->host == SBXI_HOST_CONTROL) {
        sbxi_header_line(b, "X-API-KEY", sbxi_op_key(op));
        if (op->feature == SBX_FEATURE_SANDBOX_CREATE && route->send == SBXI_SEND_JSON)
            sbxi_header_line(b, "Idempotency-Key", op->args.of.create.key);
        return;
    }
    sbxi_e2b_box_headers(op);
    if (sbxi_op_invoked(op) || route->host == SBXI_HOST_CODE) return; /* no RPC */
    if (route->prefix == SBXI_E2B_ROOT && op->feature >= SBX_FEATURE_FILES_READ)
        sbxi_e2b_file_headers(op);
    if (route->send == SBXI_SEND_JSON || route->send == SBXI_SEND_ENVELOPE
        || route->send == SBXI_SEND_INPUT)
        sbxi_e2b_rpc_headers(op);
}

static int sbxi_e2b_host(const sbx_sandbox *s, uint16_t port, sbxi_buf *out)
{
    const sbx_client *c = s->client;
    if (c->debug) sbxi_buf_text(out, "localhost:");
    sbxi_buf_u64(out, port);
    if (c->debug) return out->status;
    sbxi_buf_texts(out, "-", s->id, ".");
    return sbxi_buf_text(out, s->access.domain ? s->access.domain : c->config.domain);
}

#ifndef SBX_NO_EXTRAS

/* A number as text, without its last `cut` digits; none if it is 0. */
static const char *sbxi_e2b_number(char text[SBXI_DECIMAL_MAX + 1], int64_t v, size_t cut)
{
    size_t n = v > 0 ? sbxi_print_u64(text, (uint64_t)v) : 0;
    if (n <= cut) return NULL;
    text[n - cut] = 0;
    return text;
}

/* A query member of a URL. */
static void sbxi_e2b_url_member(sbxi_buf *b, const char *before, const char *value)
{
    sbxi_buf_text(b, before);
    sbxi_percent(b, sbxi_span_of(value), SBXI_PERCENT_SEGMENT);
}

/* SHA-256 of path, operation, user, token and end, joined by colons, as text. */
static void sbxi_e2b_sign(const sbx_op *op, const char *end, char out[48])
{
    const sbxi_files_args *a = &op->args.of.files;
    const char *parts[5];
    unsigned char hash[32];
    sbx_sha256 sha;
    size_t i;
    parts[0] = a->path;
    parts[1] = a->as.u.upload == SBX_YES ? "write" : "read";
    parts[2] = a->o.user ? a->o.user : "";
    parts[3] = op->sandbox->access.access_token;
    parts[4] = end;
    sbx_sha256_init(&sha);
    for (i = 0; i < 5 && parts[i]; i++) {
        if (i) sbx_sha256_add(&sha, ":", 1);
        sbx_sha256_add(&sha, parts[i], strlen(parts[i]));
    }
    sbx_sha256_end(&sha, hash);
    memcpy(out, "v1_", 3);
    out[3 + sbx_base64_encode(out + 3, hash, sizeof hash) - 1] = 0; /* without its padding */
}

/* The URL goes straight to the sandbox: no shared host, which needs headers. */
static int sbxi_e2b_url_step(sbx_op *op)
{
    const sbxi_files_args *a = &op->args.of.files;
    const sbx_client *c = op->client;
    const int64_t now = sbxi_clock(&c->link.net);
    const char *parts[3], *values[SBXI_PLACES];
    char until[SBXI_DECIMAL_MAX + 1], sign[48];
    const char *end = NULL;
    sbxi_buf *b = &op->out.text;
    sbxi_url url;
    bool expires = a->as.u.expires_s > 0, token = op->sandbox->access.access_token != NULL;
    op->route = sbxi_op_route(op, SBX_FEATURE_FILES_URL);
    if (expires && (!token || !now))
        return sbxi_op_fail(op, SBX_E_ARG,
            SBXI_TEXT("expires_s needs a clock, and a sandbox with a token"));
    parts[0] = sbxi_e2b_data_url(op, false);
    parts[1] = "";
    parts[2] = "/files";
    values[0] = op->sandbox->id;
    values[1] = c->provider->ports[0];
    values[2] = sbxi_op_domain(op);
    values[3] = NULL;
    if (sbxi_make_url(&op->url, parts, values, &url) != SBX_OK) return op->url.status;
    sbxi_buf_clear(b); /* asking for the token has left its request there */
    if (expires)
        end = sbxi_e2b_number(until, now + (int64_t)a->as.u.expires_s * 1000, 3);
    sbxi_buf_add(b, op->url.data, op->url.len);
    sbxi_e2b_url_member(b, "?path=", a->path);
    if (a->o.user) sbxi_e2b_url_member(b, "&username=", a->o.user);
    if (token) {
        sbxi_e2b_sign(op, end, sign);
        sbxi_e2b_url_member(b, "&signature=", sign);
        sbxi_wipe(sign, sizeof sign);
    }
    if (end) sbxi_e2b_url_member(b, "&signature_expiration=", end);
    if (b->status != SBX_OK) return b->status;
    if (b->len >= a->cap) return sbxi_op_fail(op, SBX_E_TOO_LARGE, SBXI_TEXT("cap is too small"));
    sbxi_put_text(a->text, a->cap, b->data, b->len);
    return SBX_OK;
}

#endif

/* One message of a watch's stream. */
static int sbxi_e2b_on_news(sbx_op *op)
{
    sbxi_e2b_news *n = (sbxi_e2b_news *)sbxi_bind_result(&op->reply.bind);
    if (n->failed) {
        int rc = sbxi_op_fault(op, &n->fault, op->reply.http);
        op->reply.no = rc == SBXI_MEANS_NO;
        if (!op->reply.no) return rc;
    }
    if (op->frame.flags || op->reply.no) {
        op->ended = true;
        return SBX_OK;
    }
    if (n->start == op->started)
        return sbxi_op_fail(op, SBX_E_PROTOCOL, SBXI_TEXT("the watch's stream has no one start"));
    op->started = true;
    if (op->proc) op->proc->started = true;
    return n->changed ? sbxi_op_item(op, &n->item) : SBX_OK;
}

/* The first message: the process runs. */
static int sbxi_e2b_on_start(sbx_op *op, uint32_t pid)
{
    const sbx_command_options *o = &op->args.of.command.o;
    op->started = true;
    op->pid = pid;
    if (sbxi_op_proc(op)) {
        op->proc->pid = pid;
        op->proc->started = true;
    }
    if (o->started) o->started(o->started_ctx, pid);
    return sbxi_op_said(op, SBX_OK);
}

static void sbxi_e2b_on_end(sbx_op *op, const sbxi_event *e)
{
    sbx_command_result *result = op->args.of.command.result;
    op->ended = true;
    if (!result) return;
    result->exit_code = e->exit_code;
    memcpy(result->reason, e->of.reason, sizeof result->reason);
}

/* One message of a process stream. The first must be the start; the end of the
   stream is a message of its own that may hold an error. */
static int sbxi_e2b_on_event(sbx_op *op)
{
    const sbxi_event *e = &op->reply.of.event;
    if (SBXI_HAS_WATCH && op->feature == SBX_FEATURE_FILES_WATCH) return sbxi_e2b_on_news(op);
    if (e->failed) return sbxi_op_fault(op, &e->of.fault, op->reply.http);
    if (op->frame.flags) return SBX_OK;
    if (SBXI_HAS_PROC && op->route->send == SBXI_SEND_INPUT) { /* was all taken */
        op->ended = true;
        return SBX_OK;
    }
    if (op->started == e->start || (op->ended && !e->alive))
        return sbxi_op_fail(op, SBX_E_PROTOCOL,
            SBXI_TEXT("the command's stream is not one start, output, one end"));
    if (e->end) sbxi_e2b_on_end(op, e);
    return e->start ? sbxi_e2b_on_start(op, e->pid) : SBX_OK;
}

/* ---- steps ---------------------------------------------------------------- */

enum { SBXI_E2B_UNDO = SBXI_STEP_OWN, SBXI_E2B_NEXT, SBXI_E2B_WATCHING,
    SBXI_E2B_GATEWAY, SBXI_E2B_NO_GATEWAY };

static bool sbxi_e2b_is_key(const char *key)
{
    size_t n = 0;
    for (; key[n]; n++)
        if (!sbxi_is_digit(key[n]) && !(key[n] >= 'a' && key[n] <= 'z') && key[n] != '-')
            return false;
    return n >= 1 && n <= 255;
}

/* The servers of the MCP gateway, if there is to be one. */
static const char *sbxi_e2b_mcp(const sbx_op *op)
{
#ifdef SBX_NO_EXTRAS
    (void)op;
    return NULL;
#else
    return op->args.of.create.o.mcp_json;
#endif
}

/* The key that lets a create be repeated, if there is to be one. */
static int sbxi_e2b_create_key(sbx_op *op)
{
    sbxi_create_args *a = &op->args.of.create;
    int rc = SBX_OK;
    a->key = a->o.idempotency_key;
    if (a->key && !sbxi_e2b_is_key(a->key))
        return sbxi_op_fail(op, SBX_E_ARG,
            SBXI_TEXT("idempotency_key is 1 to 255 of a-z, 0-9 and -"));
    if (!a->key && a->o.idempotent == SBX_YES) {
        rc = sbxi_random_hex(op, a->made_key, true);
        a->key = a->made_key;
    }
    op->repeatable = a->key != NULL;
    return rc;
}

#ifndef SBX_NO_EXTRAS

static int sbxi_e2b_no_word(sbx_op *op)
{
    return sbxi_op_fail(op, SBX_E_UNSUPPORTED_HOST,
        SBXI_TEXT("config.dialect \"2.6\" cannot say an option of this call"));
}

/* What the old form can say it says, with its own defaults; of the rest nothing may be
   lost in silence. */
static int sbxi_e2b_old_begin(sbx_op *op)
{
    static const sbx_network none;
    sbxi_create_args *a = &op->args.of.create;
    sbx_sandbox_options *o = &a->o;
    if (o->auto_resume || o->pause_memory || o->idempotency_key || o->idempotent
        || o->volumes.count || o->identity_json || memcmp(&o->network, &none, sizeof none) != 0)
        return sbxi_e2b_no_word(op);
    a->secure = SBX_YES;
    if (!a->auto_pause) a->auto_pause = SBX_NO;
    if (!o->internet) o->internet = SBX_YES;
    if (!o->timeout_s) o->timeout_s = 300;
    return sbxi_ask(op, SBXI_E2B_OLD_CREATE, SBXI_STEP_DONE);
}

/* A call of the present form as one of the old. */
static int sbxi_e2b_old_ask(sbx_op *op)
{
    const sbxi_resume_args *r = &op->args.of.resume;
    if (op->feature == SBX_FEATURE_SANDBOX_PAUSE) {
        const sbx_pause_options *p = &op->args.of.pause;
        return p->memory || p->healthy ? sbxi_e2b_no_word(op)
            : sbxi_ask(op, SBXI_E2B_OLD_PAUSE, SBXI_STEP_DONE);
    }
    if (r->memory) return sbxi_e2b_no_word(op);
    op->args.of.timeout_s = r->timeout_s ? r->timeout_s : 300;
    return sbxi_ask(op, SBXI_E2B_OLD_CONNECT, SBXI_STEP_DONE);
}

#endif

static int sbxi_e2b_create_begin(sbx_op *op)
{
    int rc;
    sbxi_create_args *a = &op->args.of.create;
    const sbx_sandbox_options *o = &a->o;
    bool pause = o->on_timeout == SBX_ON_TIMEOUT_PAUSE, resume = o->auto_resume == SBX_YES;
    if (!o->template_id) a->o.template_id = sbxi_e2b_mcp(op) ? "mcp-gateway" : "base";
    if (!pause && (resume || o->pause_memory != SBX_DEFAULT))
        return sbxi_op_fail(op, SBX_E_ARG,
            SBXI_TEXT("auto_resume and pause_memory need on_timeout = SBX_ON_TIMEOUT_PAUSE"));
    if (resume && o->pause_memory == SBX_NO)
        return sbxi_op_fail(op, SBX_E_ARG,
            SBXI_TEXT("auto_resume needs the memory: pause_memory must not be SBX_NO"));
    if (o->on_timeout) a->auto_pause = pause ? SBX_YES : SBX_NO;
#ifndef SBX_NO_EXTRAS
    if (op->client->dialect) return sbxi_e2b_old_begin(op);
#endif
    rc = sbxi_e2b_create_key(op);
    return rc == SBX_OK ? sbxi_ask(op, SBX_FEATURE_SANDBOX_CREATE, SBXI_STEP_DONE) : rc;
}

/* Metadata is encoded three times: each word, the form of words, the query. */
static int sbxi_e2b_metadata(sbx_op *op)
{
    const sbx_pairs *p = &op->args.of.list.q.metadata;
    sbxi_buf *out = &op->captured[0].buf, *word = &op->block;
    size_t i;
    sbxi_buf_clear(out);
    for (i = 0; i < p->count * 2; i++) {
        const sbx_pair *pair = &p->items[i / 2];
        sbxi_span once;
        if (i) sbxi_buf_text(out, i & 1 ? "=" : "&");
        sbxi_buf_clear(word);
        if (sbxi_percent(word, sbxi_span_of(i & 1 ? pair->value : pair->key),
                         SBXI_PERCENT_KEEP_SLASH) != SBX_OK) return word->status;
        once.ptr = word->data;
        once.len = word->len;
        sbxi_percent(out, once, SBXI_PERCENT_FORM);
    }
    sbxi_buf_add(out, "", 1);
    op->args.of.list.metadata = out->data;
    return out->status;
}

/* Where the caller's page begins, and how long it is. */
static void sbxi_e2b_list_page(sbxi_list_args *a, const sbx_page *page)
{
    if (page->next_token[0]) a->token = page->next_token;
    if (!page->limit) return;
    a->limit_text[sbxi_print_u64(a->limit_text, (uint32_t)page->limit)] = 0;
    a->limit = a->limit_text;
}

/* The query of a list: for snapshots all there is is in the arguments. */
static int sbxi_e2b_list_begin(sbx_op *op)
{
    static const char *const states[] = { NULL, "running", "paused", "running,paused" };
    sbxi_list_args *a = &op->args.of.list;
    const sbx_sandbox_query *q = &a->q;
    unsigned state = 0;
    int rc = SBX_OK;
    if (q->running == SBX_YES || q->paused == SBX_NO) state = 1;
    if (q->paused == SBX_YES || q->running == SBX_NO) state |= 2;
    a->state = states[state];
    if (q->oldest_first) a->order = q->oldest_first == SBX_YES ? "asc" : "desc";
    if (q->started_after_unix_ms) {
        sbxi_print_time(a->after_text, q->started_after_unix_ms);
        a->after = a->after_text;
    }
    if (a->page) sbxi_e2b_list_page(a, a->page);
    if (q->metadata.items) rc = sbxi_e2b_metadata(op);
    return rc == SBX_OK ? sbxi_ask(op, op->feature, SBXI_E2B_NEXT) : rc;
}

/* One page if the caller pages, else all of them. */
static int sbxi_e2b_list_step(sbx_op *op)
{
    sbxi_list_args *a = &op->args.of.list;
    sbx_page *page = a->page;
    if (op->step == SBXI_STEP_START) return sbxi_e2b_list_begin(op);
    if (page) {
        memcpy(page->next_token, op->held.token, sizeof page->next_token);
        page->has_next = op->reply.more;
        page->ended_ = !page->has_next;
    }
    if (page || !op->reply.more) return SBX_OK;
    a->token = op->held.token;
    return sbxi_ask(op, op->feature, SBXI_E2B_NEXT);
}

#ifndef SBX_NO_EXTRAS
/* Metrics are asked for by seconds, logs by milliseconds. */
static int sbxi_e2b_history_begin(sbx_op *op)
{
    sbxi_history_args *a = &op->args.of.history;
    bool metrics = op->feature == SBX_FEATURE_SANDBOX_METRICS;
    size_t cut = metrics ? 3 : 0;
    a->start = sbxi_e2b_number(a->text[0], a->q.from_unix_ms, cut);
    a->end = sbxi_e2b_number(a->text[1], a->end_unix_ms, cut);
    a->limit = sbxi_e2b_number(a->text[2], a->q.limit, 0);
    if (a->q.newest_first)
        a->direction = a->q.newest_first == SBX_YES ? "backward" : "forward";
    return metrics ? sbxi_needs(op, SBXI_VERSION(0, 1, 5)) : SBX_OK;
}
#endif

/* What was composed in the block, begun as one to be owned, lives as long as the
   operation: it is its result, of which streams have none. */
static void sbxi_e2b_keep_block(sbx_op *op)
{
    op->result = op->block.data + sizeof(sbxi_owned);
    sbxi_block_take(&op->block);
}

/* A terminal gets a few variables more, unless the user has them. */
static int sbxi_e2b_pty_envs(sbx_op *op)
{
    static const sbx_pair more[] = { { "TERM", "xterm-256color" }, { "LANG", "C.UTF-8" },
        { "LC_ALL", "C.UTF-8" } };
    sbx_pairs *envs = &op->args.of.command.o.envs;
    sbxi_buf *b = &op->block;
    size_t i, k;
    sbxi_block_start(b);
    sbxi_buf_add(b, envs->items, envs->count * sizeof more[0]);
    for (i = 0; i < (op->client->dialect ? 1 : SBXI_LEN(more)); i++) {
        for (k = 0; k < envs->count && strcmp(envs->items[k].key, more[i].key) != 0; k++) {}
        if (k == envs->count) sbxi_buf_add(b, &more[i], sizeof more[i]);
    }
    if (b->status != SBX_OK) return b->status;
    envs->count = (b->len - sizeof(sbxi_owned)) / sizeof more[0];
    sbxi_e2b_keep_block(op);
    envs->items = (const sbx_pair *)op->result;
    return SBX_OK;
}

static int sbxi_e2b_command_begin(sbx_op *op)
{
    sbxi_command_args *a = &op->args.of.command;
    bool pty = SBXI_HAS_PTY && op->feature == SBX_FEATURE_PTY_CREATE;
    a->words[0] = pty ? "-i" : "-l";
    a->words[1] = pty ? "-l" : "-c";
    a->words[2] = a->cmd;
    a->argv.items = a->words;
    a->argv.count = pty ? 2 : 3;
    if (!a->at.pid) a->at.tag = a->o.tag;
    if (pty) return sbxi_e2b_pty_envs(op);
    a->stdin_open = a->o.keep_stdin == SBX_YES ? SBX_YES : SBX_NO;
    return !a->cmd || a->o.keep_stdin != SBX_NO ? SBX_OK
        : sbxi_needs(op, SBXI_VERSION(0, 3, 0));
}

/* Input in envelopes: one that names the process, then one a piece. Room for the
   text around it is left in front, and the piece is put at the end of the buffer,
   so that its base64 grows towards it and never over what is still to be read. */
static int sbxi_e2b_input_get(void *ctx, void *buf, size_t cap, size_t *got)
{
    static const char start[] = "{\"start\":{\"process\":{\"pid\":",
        piped[] = "{\"data\":{\"input\":{\"stdin\":\"",
        typed[] = "{\"data\":{\"input\":{\"pty\":\"", ping[] = "{\"keepalive\":{}}";
    sbx_op *op = (sbx_op *)ctx;
    sbxi_process_args *a = &op->args.of.process;
    const char *head = SBXI_HAS_PTY && op->feature == SBX_FEATURE_PTY_STREAM_INPUT ? typed : piped;
    char *text = (char *)buf + 5, *p;
    size_t room, n;
    if (!a->begun) head = start;
    else if (a->ping) head = ping;
    n = strlen(head);
    if (cap < 5 + sizeof start + SBXI_DECIMAL_MAX + 4 + 4) return SBX_E_TOO_LARGE;
    memcpy(text, head, n);
    p = text + n;
    if (!a->begun) {
        a->begun = true;
        p += sbxi_print_u64(p, a->pid);
        memcpy(p, "}}}", 3);
        p += 3;
    } else if (head == ping) {
        a->ping = false;
    } else {
        int rc;
        room = (cap - 5 - n - 4) / 4 * 3;
        *got = 0;
        rc = a->from.get(a->from.ctx, (char *)buf + cap - room, room, got);
        if (rc != SBX_OK || *got == 0) return rc;
        if (*got > room) return SBX_E_SOURCE;
        p += sbx_base64_encode(p, (char *)buf + cap - room, *got);
        memcpy(p, "\"}}}", 4);
        p += 4;
    }
    *got = (size_t)(p - (char *)buf);
    sbxi_connect_head((unsigned char *)buf, 0, (uint32_t)(p - text));
    return SBX_OK;
}

static void sbxi_e2b_input_begin(sbx_op *op)
{
    sbx_source *body = &op->args.of.process.body;
    body->get = sbxi_e2b_input_get;
    body->ctx = op;
    body->size = -1;
}

/* What starts the MCP gateway; its command stands behind it. */
typedef struct sbxi_e2b_gateway {
    sbx_pair token;
    sbx_command_result result;
    char value[37];
} sbxi_e2b_gateway;

/* Runs the gateway's command, as root: the options, quoted for a shell, and a token
   of its own. From here on the arguments are those of a command. */
static int sbxi_e2b_gateway_begin(sbx_op *op)
{
    sbxi_command_args *a = &op->args.of.command;
    sbxi_buf *b = &op->block;
    sbxi_e2b_gateway *g;
    size_t at;
    int rc;
    sbxi_block_start(b);
    if (sbxi_buf_room(b, sizeof *g, &at) != SBX_OK) return b->status;
    sbxi_buf_text(b, "mcp-gateway --config ");
    sbxi_quoted(b, sbxi_e2b_mcp(op));
    if (sbxi_buf_add(b, "", 1) != SBX_OK) return b->status;
    sbxi_e2b_keep_block(op);
    g = (sbxi_e2b_gateway *)op->result;
    rc = sbxi_random_hex(op, g->value, true);
    if (rc != SBX_OK) return rc;
    g->token.key = "GATEWAY_ACCESS_TOKEN";
    g->token.value = g->value;
    memset(a, 0, sizeof *a);
    a->cmd = (const char *)(g + 1);
    a->o.user = "root";
    a->o.envs.items = &g->token;
    a->o.envs.count = 1;
    a->o.capture_limit = 1;
    a->result = &g->result;
    rc = sbxi_e2b_command_begin(op);
    return rc == SBX_OK ? sbxi_ask(op, SBX_FEATURE_COMMAND_RUN, SBXI_E2B_GATEWAY) : rc;
}

/* It has ended: well, or there is no use in the sandbox. */
static int sbxi_e2b_gateway_end(sbx_op *op)
{
    const sbxi_e2b_gateway *g = (const sbxi_e2b_gateway *)op->result;
    if (!op->why && g->result.exit_code == 0) return SBX_OK;
    return sbxi_ask(op, SBX_FEATURE_SANDBOX_KILL, SBXI_E2B_NO_GATEWAY);
}

/* Why the sandbox that was made and killed again was of no use. */
static int sbxi_e2b_undone(sbx_op *op)
{
    const sbxi_buf *err = &op->captured[1].buf;
    sbx_error *e = &op->error;
    if (op->detached) return SBX_E_CANCELLED;
    sbxi_sandbox_unref(op->sandbox); /* nothing is left of it */
    op->sandbox = NULL;
    op->cut = op->x.sent = false;
    op->pid = 0;
    e->clock = op->why_clock;
    if (!SBXI_HAS_EXTRAS || op->step == SBXI_E2B_UNDO)
        return sbxi_too_old(op, SBXI_VERSION(0, 1, 0));
    sbxi_put_text(e->message, sizeof e->message, "the MCP gateway did not start: ", 31);
    if (err->data && sbxi_buf_add(&op->captured[1].buf, "", 1) == SBX_OK)
        sbxi_add_text(e->message, sizeof e->message, err->data + sizeof(sbxi_owned));
    else if (op->why)
        sbxi_add_text(e->message, sizeof e->message, sbx_strerror(op->why));
    return op->why ? op->why : SBX_E_REFUSED;
}

/* A sandbox exists now; what cannot be handed out is killed again. */
static int sbxi_e2b_created(sbx_op *op)
{
    const sbxi_access *got = (const sbxi_access *)op->result;
    int rc;
    if (!got || !got->id || !got->id[0]) return sbxi_op_fail(op, SBX_E_PROTOCOL,
        SBXI_TEXT("the reply names no sandbox"));
    rc = sbxi_sandbox_made(op, got->id);
    if (rc == SBX_OK) rc = sbxi_sandbox_learn(op);
    if (rc != SBX_OK) return rc;
    op->repeatable = false;
    if (op->detached || sbxi_older(op->sandbox, SBXI_VERSION(0, 1, 0)))
        return sbxi_ask(op, SBX_FEATURE_SANDBOX_KILL, SBXI_E2B_UNDO);
    return sbxi_e2b_mcp(op) ? sbxi_e2b_gateway_begin(op) : SBX_OK;
}

static int sbxi_e2b_create_step(sbx_op *op)
{
    if (op->step == SBXI_STEP_START) return sbxi_e2b_create_begin(op);
    if (op->step == SBXI_STEP_DONE) return sbxi_e2b_created(op);
    if (SBXI_HAS_EXTRAS && (op->step == SBXI_E2B_GATEWAY || op->step == SBXI_STEP_HEALTH))
        return sbxi_e2b_gateway_end(op);
    return sbxi_e2b_undone(op);
}

static bool sbxi_e2b_raw_body(const sbx_op *op)
{
    const sbxi_files_args *a = &op->args.of.files;
    if (sbxi_older(op->sandbox, SBXI_VERSION(0, 5, 7))) return false;
    if (SBXI_HAS_GZIP && a->o.gzip == SBX_YES) return true;
    if (a->o.octet_stream != SBX_DEFAULT) return a->o.octet_stream == SBX_YES;
    return !a->from_bytes && op->feature == SBX_FEATURE_FILES_WRITE;
}

/* Metadata travels as headers: what they cannot say is named. */
static int sbxi_e2b_write_check(sbx_op *op)
{
    const sbx_pairs *p = &op->args.of.files.o.metadata;
    sbx_error *e = &op->error;
    size_t i;
    for (i = 0; i < p->count; i++) {
        const sbx_pair *pair = &p->items[i];
        const char *value = pair->value;
        while (*value >= ' ' && *value <= '~') value++;
        if (sbxi_is_token(sbxi_span_of(pair->key)) && !*value) continue;
#ifndef SBX_NO_ERROR_TEXT
        sbxi_put_text(e->message, sizeof e->message, "metadata: ", 10);
        sbxi_add_text(e->message, sizeof e->message, *value ? "the value is not printable ASCII: "
            : "the key is not an HTTP token: ");
        sbxi_add_text(e->message, sizeof e->message, pair->key);
#endif
        return sbxi_error_set(e, SBX_E_ARG, NULL);
    }
    return !p->count ? SBX_OK : sbxi_needs(op, SBXI_VERSION(0, 6, 2));
}

/* One body of many parts, which must know its length: raw ones came later. */
static int sbxi_e2b_write_whole(sbx_op *op)
{
    sbxi_files_args *a = &op->args.of.files;
    int rc = a->files[0].from.size >= 0 || a->o.octet_stream == SBX_NO ? SBX_OK
        : sbxi_needs(op, SBXI_VERSION(0, 5, 7));
    a->path = a->count > 1 ? NULL : a->files[0].path;
    return rc == SBX_OK ? sbxi_ask(op, SBX_FEATURE_FILES_WRITE, SBXI_STEP_DONE) : rc;
}

/* Raw bodies carry one file each, a multipart body all of them. */
static int sbxi_e2b_write_step(sbx_op *op)
{
    sbxi_files_args *a = &op->args.of.files;
    if (op->step == SBXI_STEP_START) {
        int rc = SBXI_HAS_EXTRAS ? sbxi_e2b_write_check(op) : SBX_OK;
        if (rc != SBX_OK) return rc;
        a->at = 0;
        if (!sbxi_e2b_raw_body(op)) return sbxi_e2b_write_whole(op);
    } else if (op->step == SBXI_STEP_DONE || ++a->at == a->count) {
        if (!op->result && a->count)
            return sbxi_op_fail(op, SBX_E_PROTOCOL,
                SBXI_TEXT("the service does not say what it wrote"));
        return SBX_OK;
    }
    a->path = a->files[a->at].path;
    return sbxi_ask(op, SBXI_E2B_WRITE_RAW, SBXI_E2B_NEXT);
}

/* What the options of a watch need. */
static int sbxi_e2b_watch_begin(sbx_op *op)
{
    sbxi_files_args *a = &op->args.of.files;
    uint32_t need = 0;
    int rc;
    if (a->as.w.recursive == SBX_YES) need = SBXI_VERSION(0, 1, 4);
    if (a->as.w.entries == SBX_YES) need = SBXI_VERSION(0, 6, 3);
    if (a->as.w.network_mounts == SBX_YES) need = SBXI_VERSION(0, 6, 4);
    rc = sbxi_needs(op, need);
    if (rc != SBX_OK) return rc;
    return a->as.w.mode == SBX_WATCH_ASK
        ? sbxi_ask(op, SBXI_E2B_NEW_WATCHER, SBXI_E2B_WATCHING)
        : sbxi_ask(op, SBX_FEATURE_FILES_WATCH, SBXI_STEP_DONE);
}

/* The host has made a watcher: its id lasts as long as the handle. */
static int sbxi_e2b_watching(sbx_op *op)
{
    sbxi_files_args *a = &op->args.of.files;
    sbx_proc *p = op->proc;
    const sbxi_e2b_watcher *w = (const sbxi_e2b_watcher *)op->result;
    if (!p) return SBX_E_CANCELLED;
    if (op->reply.no) return SBX_E_UNSUPPORTED_HOST;
    if (!w || !w->id || !w->id[0])
        return sbxi_op_fail(op, SBX_E_PROTOCOL, SBXI_TEXT("the reply names no watcher"));
    p->block = op->result;
    p->kept = op->kept;
    op->result = op->kept = NULL;
    p->user = a->o.user;
    p->id = a->watcher = w->id;
    p->started = p->rests = true;
    return SBX_OK;
}

/* A stream of events, or a watcher that is asked now and then. */
static int sbxi_e2b_watch_step(sbx_op *op)
{
    const sbxi_files_args *a = &op->args.of.files;
    int rc;
    if (op->step == SBXI_STEP_START) return sbxi_e2b_watch_begin(op);
    if (op->step == SBXI_STEP_DONE) {
        if (!op->reply.no)
            return sbxi_op_fail(op, SBX_E_NO_END,
                SBXI_TEXT("the host ended the watch: begin anew"));
        if (a->as.w.mode == SBX_WATCH_STREAM) return SBX_E_UNSUPPORTED_HOST;
        return sbxi_ask(op, SBXI_E2B_NEW_WATCHER, SBXI_E2B_WATCHING);
    }
    rc = op->step == SBXI_E2B_WATCHING ? sbxi_e2b_watching(op) : SBX_OK;
    if (rc != SBX_OK || a->as.w.interval_ms < 0) return rc;
    return sbxi_ask_later(op, SBX_FEATURE_WATCH_POLL, SBXI_E2B_NEXT, a->as.w.interval_ms);
}

/* A dispatcher by feature: what its steps are, if they are not one exchange. */
static int sbxi_e2b_step(sbx_op *op)
{
    bool start = op->step == SBXI_STEP_START;
    sbx_files_options *files = &op->args.of.files.o;
    int rc = SBX_OK;
    /* file routes carry the user in the query */
    if (start && op->feature >= SBX_FEATURE_FILES_READ) files->user = sbxi_e2b_user(op);
    switch (op->feature) {
    case SBX_FEATURE_SANDBOX_CREATE:
        return sbxi_e2b_create_step(op);
    case SBX_FEATURE_SANDBOX_CONNECT: /* tells new credentials; 201: it had been paused */
        op->reply.no = op->reply.http != 201;
#ifndef SBX_NO_EXTRAS
        if (start && op->client->dialect) return sbxi_e2b_old_ask(op);
#endif
        return start ? sbxi_ask_default(op) : sbxi_sandbox_learn(op);
#ifndef SBX_NO_EXTRAS
    case SBX_FEATURE_SANDBOX_PAUSE:
        if (start && op->client->dialect) return sbxi_e2b_old_ask(op);
        break;
#endif
    case SBX_FEATURE_SANDBOX_LIST:
    case SBX_FEATURE_SNAPSHOT_LIST:
    case SBX_FEATURE_TEMPLATE_BUILDS:
        return sbxi_e2b_list_step(op);
#ifndef SBX_NO_TEMPLATE
    case SBX_FEATURE_TEMPLATE_BUILD:
    case SBX_FEATURE_TEMPLATE_BUILD_START:
    case SBX_FEATURE_BUILD_GET_STATUS:
    case SBX_FEATURE_BUILD_WAIT:
        return sbxi_e2b_build_step(op);
#endif
#ifndef SBX_NO_EXTRAS
    case SBX_FEATURE_SANDBOX_METRICS:
    case SBX_FEATURE_SANDBOX_LOGS:
        if (start) rc = sbxi_e2b_history_begin(op);
        break;
    case SBX_FEATURE_SANDBOX_FORK: /* what its callback said */
        rc = op->why;
        break;
    case SBX_FEATURE_FILES_URL:
        return sbxi_e2b_url_step(op);
#endif
    case SBX_FEATURE_COMMAND_RUN:
    case SBX_FEATURE_COMMAND_START:
    case SBX_FEATURE_COMMAND_CONNECT:
    case SBX_FEATURE_PTY_CREATE:
    case SBX_FEATURE_PTY_CONNECT:
        if (start) rc = sbxi_e2b_command_begin(op);
        break;
    case SBX_FEATURE_COMMAND_SIGNAL:
        if (op->args.of.process.signal == SBX_SIGNAL_KILL) op->feature = SBX_FEATURE_COMMAND_KILL;
        break;
    case SBX_FEATURE_COMMAND_CLOSE_STDIN:
        if (start) rc = sbxi_needs(op, SBXI_VERSION(0, 5, 2));
        break;
    case SBX_FEATURE_COMMAND_STREAM_STDIN:
    case SBX_FEATURE_PTY_STREAM_INPUT:
        if (SBXI_HAS_PROC && start) sbxi_e2b_input_begin(op);
        break;
    case SBX_FEATURE_FILES_READ:
    case SBX_FEATURE_FILES_READ_BYTES:
        if (!start && op->reply.no && !files->offset && !files->length) rc = SBX_E_PROTOCOL;
        break;
    case SBX_FEATURE_FILES_WRITE:
    case SBX_FEATURE_FILES_WRITE_MANY:
        return sbxi_e2b_write_step(op);
    case SBX_FEATURE_FILES_WATCH:
        if (SBXI_HAS_WATCH) return sbxi_e2b_watch_step(op);
        break;
    case SBX_FEATURE_FILES_LIST:
        if (start) files->depth = files->depth == 0 ? 1 : files->depth < 0 ? 0 : files->depth;
        break;
    default:
        break;
    }
    return start && rc == SBX_OK ? sbxi_ask_default(op) : rc;
}

/* ---- the provider --------------------------------------------------------- */

static const sbxi_env sbxi_e2b_env[] = {
    { "E2B_API_KEY", offsetof(sbx_config, api_key) },
    { "E2B_DOMAIN", offsetof(sbx_config, domain) },
    { "E2B_API_URL", offsetof(sbx_config, api_url) },
    { "E2B_SANDBOX_URL", offsetof(sbx_config, sandbox_url) },
    { NULL, 0 }
};
static const char *const sbxi_e2b_dialects[] = { "2.63",
#ifndef SBX_NO_EXTRAS
    "2.6",
#endif
    NULL };
static const char *const sbxi_e2b_ports[] = { "49983", "49999" };

#ifndef SANDBOX_STATIC
const sbx_provider sbx_e2b =
#else
static const sbx_provider sbx_e2b =
#endif
{
    "e2b", "e2b.app", sbxi_e2b_ports, 60000, 50005, sbxi_e2b_dialects,
    SBXI_TEXT("the host has no POST /v2/sandboxes: set config.dialect to \"2.6\", "
              "or check api_url"),
    sbxi_e2b_env, "E2B_DEBUG",
    "x-next-token",
    sbxi_e2b_prefixes, sbxi_e2b_routes, sbxi_e2b_rules, &sbxi_e2b_fault, sbxi_e2b_base,
    sbxi_e2b_headers, sbxi_e2b_host, sbxi_e2b_step, sbxi_e2b_on_event, 300000,
#ifndef SBX_NO_TEMPLATE
    &sbxi_e2b_templates
#endif
};

#undef SBXI_ALL
#undef SBXI_ONE
#undef SBXI_PLAIN
#undef SBXI_RPC
#undef SBXI_STREAM
#undef SBXI_START
#undef SBXI_FOLLOW
#undef SBXI_TELL
#undef SBXI_INPUT
#undef SBXI_READ
#undef SBXI_MOVED
#undef SBXI_MAKE

#endif /* SBX_NO_E2B */
