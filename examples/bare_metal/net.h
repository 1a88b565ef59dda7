/* net.h - the ways out of this firmware; one of net_lwip.c and net_uart.c is linked. */
#ifndef NET_H
#define NET_H

#include "client.h"

int net_init(sbx_net *net);     /* SBX_OK, or why there is no network */

#endif
