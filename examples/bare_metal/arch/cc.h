/* cc.h - what lwIP asks of compiler and system. */
#ifndef ARCH_CC_H
#define ARCH_CC_H

#include <stdint.h>

uint32_t net_random(void);      /* ports, sequence numbers and DNS ids: net_lwip.c */
#define LWIP_RAND() net_random()

#define LWIP_PLATFORM_DIAG(x) ((void)0)
#define LWIP_PLATFORM_ASSERT(x) ((void)0)

#endif
