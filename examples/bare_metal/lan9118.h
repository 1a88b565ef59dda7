/* lan9118.h - driver of the SMSC LAN9118 Ethernet chip as a network interface of lwIP. */
#ifndef LAN9118_H
#define LAN9118_H

#include "lwip/netif.h"

err_t lan9118_init(struct netif *netif);        /* for netif_add() */
void lan9118_poll(struct netif *netif);         /* hands on what was received */

#endif
