/* matrix - prints README's feature table from the provider tables. */
#define SBX_NO_TLS
#define SANDBOX_IMPLEMENTATION
#include "../../sandbox.h"
#include <stdio.h>

int main(void)
{
    static const char *const names[] = {
#define ROW(name, text) "sbx_" text,
        SBX_FEATURES(ROW)
#undef ROW
    };
    size_t n, p, f;
    const sbx_provider *const *all = sbxi_providers(&n);
    printf("| function |");
    for (p = 0; p < n; p++) printf(" %s |", all[p]->name);
    printf("\n|---|");
    for (p = 0; p < n; p++) printf("---|");
    printf("\n");
    for (f = 0; f < SBX_FEATURE_END_; f++) {
        printf("| `%s` |", names[f]);
        for (p = 0; p < n; p++) {
            const sbxi_route *r = sbxi_route_of(all[p], f);
            if (!r)
                printf(" no |");
            else if (f == SBX_FEATURE_SANDBOX_HOST || f == SBX_FEATURE_SANDBOX_MCP_URL
                     || f == SBX_FEATURE_FILES_URL)
                printf(" `computed` |");
            else if (f == SBX_FEATURE_INVOKE)
                printf(" by name, below |");
            else
                printf(" `%s %s%s` |", sbxi_methods[r->method], all[p]->prefixes[r->prefix],
                       r->path);
        }
        printf("\n");
    }
    for (p = 0; p < n; p++) {
        sbx_client client;
        sbx_route route;
        memset(&client, 0, sizeof client);
        client.provider = all[p];
        printf("\n| `sbx_invoke`, %s | |\n|---|---|\n", all[p]->name);
        for (f = 0; sbx_invoke_route(&client, f, &route) == SBX_OK; f++)
            printf("| `%s` | `%s %s` |\n", route.name, route.method, route.path);
    }
    return 0;
}
