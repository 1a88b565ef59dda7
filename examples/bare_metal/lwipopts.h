/* lwipopts.h - lwIP 2.1 without an operating system: the raw API, IPv4, TCP, DNS. What it
   needs lies in static pools, 18 kB in all. */
#ifndef LWIPOPTS_H
#define LWIPOPTS_H

#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0  /* only main() calls it, no interrupt does */
#define LWIP_SOCKET 0
#define LWIP_NETCONN 0
#define LWIP_NOASSERT           /* 6 kB of texts; take it out while bringing up a board */
#define LWIP_STATS 0

#define LWIP_ARP 1
#define LWIP_ICMP 1
#define LWIP_RAW 0
#define LWIP_DHCP 0             /* fixed addresses: net_lwip.c */
#define IP_REASSEMBLY 0
#define IP_FRAG 0
#define ARP_TABLE_SIZE 4

/* The name in the certificate of the local host, and where qemu has it. A real service
   needs no such list: DNS knows its name. */
#define LWIP_DNS 1
#define DNS_TABLE_SIZE 1
#define DNS_MAX_NAME_LENGTH 128
#define DNS_LOCAL_HOSTLIST 1
#define DNS_LOCAL_HOSTLIST_INIT \
    { DNS_LOCAL_HOSTLIST_ELEM("localhost", IPADDR4_INIT_BYTES(10, 0, 2, 2)) }
#define MEMP_NUM_UDP_PCB 1

/* Two connections: one that works, one that is being closed. */
#define LWIP_TCP 1
#define MEMP_NUM_TCP_PCB 3
#define MEMP_NUM_TCP_PCB_LISTEN 1
#define TCP_MSS 1460
#define TCP_WND (4 * TCP_MSS)
#define TCP_SND_BUF (2 * TCP_MSS)
#define TCP_SND_QUEUELEN 12
#define MEMP_NUM_TCP_SEG TCP_SND_QUEUELEN
#define TCP_QUEUE_OOSEQ 0       /* what is lost is sent again, with all behind it */
#define LWIP_TCP_KEEPALIVE 0

/* What is received: small buffers, so that a small segment does not take the room of a
   whole frame. 40 of them hold the window, and some frames besides. */
#define PBUF_POOL_SIZE 40
#define PBUF_POOL_BUFSIZE 256
/* What is sent: copies of TCP_SND_BUF bytes with their headers. */
#define MEM_ALIGNMENT 4
#define MEM_SIZE 4608

/* Initial sequence numbers that cannot be guessed (RFC 6528). */
#define LWIP_HOOK_TCP_ISN(local_ip, local_port, remote_ip, remote_port) net_random()

#endif
