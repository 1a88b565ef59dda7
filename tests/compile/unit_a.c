/* Two files with an implementation of their own each: one program (unit_b.c). */
#define SANDBOX_STATIC
#define SANDBOX_IMPLEMENTATION
#include "sandbox.h"
#include <stdio.h>

int unit_b(void);

int main(void)
{
    int a = sbx_open(NULL, NULL), b = unit_b();
    if (a != SBX_E_ARG || b != SBX_E_ARG) {
        printf("sbx_open(NULL, NULL): %s and %s\n", sbx_status_name(a), sbx_status_name(b));
        return 1;
    }
    return 0;
}
