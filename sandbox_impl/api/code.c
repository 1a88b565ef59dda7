/* api/code - running code in a code interpreter. Called by the user. */

#ifndef SBX_NO_RUN_CODE

SBX_API int sbx_run_code(sbx_sandbox *sandbox, const char *code,
    const sbx_run_code_options *options, sbx_run_code_result *result, const sbx_call *call)
{
    sbxi_call k;
    sbxi_code_args *a = &k.args.of.code;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_RUN_CODE, call);
    if (options) a->o = *options;
    if (result) memset(result, 0, sizeof *result);
    if (sandbox && !a->o.timeout_ms) a->o.timeout_ms = sandbox->client->provider->code_ms;
    a->code = code;
    a->result = result;
    sbxi_need(&k, code != NULL, SBXI_TEXT("code is NULL"));
    sbxi_need(&k, sbxi_pairs_ok(&a->o.envs), SBXI_TEXT("envs: a key or value is NULL"));
    sbxi_need(&k, !a->o.context_id || !a->o.language,
        SBXI_TEXT("a context has its language: give context_id or language"));
    return sbxi_start(&k);
}

#endif
