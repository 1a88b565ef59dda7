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
            const sbxi_route *r = &all[p]->routes[f];
            if (!r->path)
                printf(" no |");
            else if (f == SBX_FEATURE_SANDBOX_HOST)
                printf(" `computed` |");
            else
                printf(" `%s %s%s` |", sbxi_methods[r->method], all[p]->prefixes[r->prefix],
                       r->path);
        }
        printf("\n");
    }
    return 0;
}
