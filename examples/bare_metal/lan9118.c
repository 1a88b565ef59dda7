/* lan9118 - the chip is a pair of FIFOs for whole frames: words are pushed and popped, no
   DMA. Its interrupt only wakes the processor; frames are taken by lan9118_poll(). */
#include "lan9118.h"
#include "board.h"
#include "lwip/etharp.h"
#include <string.h>

#define CHIP(offset) (*(volatile uint32_t *)(uintptr_t)(0x40200000u + (offset)))
#define RX_DATA CHIP(0x00)
#define TX_DATA CHIP(0x20)
#define RX_STATUS CHIP(0x40)
#define TX_STATUS CHIP(0x48)
#define IRQ_CONFIG CHIP(0x54)
#define INT_STATUS CHIP(0x58)
#define INT_ENABLE CHIP(0x5C)
#define BYTE_TEST CHIP(0x64)
#define FIFO_INT CHIP(0x68)
#define RX_CONFIG CHIP(0x6C)
#define TX_CONFIG CHIP(0x70)
#define HW_CONFIG CHIP(0x74)
#define RX_CONTROL CHIP(0x78)
#define RX_FIFO CHIP(0x7C)
#define TX_FIFO CHIP(0x80)
#define MAC_COMMAND CHIP(0xA4)
#define MAC_DATA CHIP(0xA8)

#define BUSY 0x80000000u        /* MAC_COMMAND */
#define DISCARD 0x80000000u     /* RX_CONTROL */
#define RX_ERROR 0x8000u        /* RX_STATUS */
#define RX_LEVEL 8u             /* INT_STATUS: a frame has come */
enum { MAC_CONTROL = 1, MAC_ADDRESS_HIGH = 2, MAC_ADDRESS_LOW = 3 };

/* The address a product reads from its EEPROM; this one is administered locally. */
static const uint8_t address[6] = { 0x02, 0x00, 0x5E, 0x00, 0x53, 0x01 };

void board_ethernet_irq(void)
{
    board_disable(BOARD_ETHERNET); /* until lan9118_poll() has emptied the FIFO */
}

static void mac_write(uint32_t index, uint32_t value)
{
    MAC_DATA = value;
    MAC_COMMAND = BUSY | index;
    while (MAC_COMMAND & BUSY) {}
}

/* ---- sending ---------------------------------------------------------------- */

/* The pieces of a frame need not end at words; the FIFO takes nothing else. */
static err_t send_frame(struct netif *netif, struct pbuf *frame)
{
    uint32_t word = 0, have = 0;
    const struct pbuf *p;
    (void)netif;
    while (TX_FIFO >> 16 & 0xFF) (void)TX_STATUS; /* of frames sent before */
    if ((TX_FIFO & 0xFFFF) < frame->tot_len + 16u) return ERR_MEM; /* TCP tries again */
    TX_DATA = 0x3000u | frame->tot_len; /* first and last segment */
    TX_DATA = frame->tot_len;
    for (p = frame; p; p = p->next) {
        const uint8_t *byte = p->payload;
        u16_t i;
        for (i = 0; i < p->len; i++) {
            word |= (uint32_t)byte[i] << 8 * have;
            if (++have < 4) continue;
            TX_DATA = word;
            word = have = 0;
        }
    }
    if (have) TX_DATA = word;
    return ERR_OK;
}

/* ---- receiving -------------------------------------------------------------- */

static struct pbuf *take_frame(uint32_t len)
{
    uint32_t words = (len + 3) / 4;
    struct pbuf *frame = pbuf_alloc(PBUF_RAW, (u16_t)len, PBUF_POOL), *p;
    if (!frame) {
        RX_CONTROL = DISCARD;   /* the peer will send it again */
        while (RX_CONTROL & DISCARD) {}
        return NULL;
    }
    for (p = frame; p; p = p->next) { /* all but the last hold whole words */
        uint8_t *to = p->payload;
        u16_t left = p->len;
        for (; left > 0 && words > 0; words--) {
            uint32_t word = RX_DATA;
            u16_t n = left < 4 ? left : 4;
            memcpy(to, &word, n);
            to += n;
            left = (u16_t)(left - n);
        }
    }
    while (words-- > 0) (void)RX_DATA;
    return frame;
}

void lan9118_poll(struct netif *netif)
{
    INT_STATUS = RX_LEVEL;      /* first: a frame that comes now sets it again */
    while (RX_FIFO >> 16 & 0xFF) {
        uint32_t status = RX_STATUS, len = status >> 16 & 0x3FFF;
        struct pbuf *frame = take_frame(len);
        if (!frame) continue;
        if (!(status & RX_ERROR) && len > 4) {
            pbuf_realloc(frame, (u16_t)(len - 4)); /* without its checksum */
            if (netif->input(frame, netif) == ERR_OK) continue;
        }
        pbuf_free(frame);
    }
    board_enable(BOARD_ETHERNET);
}

/* ---- start ------------------------------------------------------------------ */

err_t lan9118_init(struct netif *netif)
{
    uint32_t low, high;
    if (BYTE_TEST != 0x87654321u) return ERR_IF; /* another chip, or none */
    HW_CONFIG = 1;              /* reset */
    while (HW_CONFIG & 1) {}
    HW_CONFIG = 0x00150000u;    /* store and forward, 5 KiB of FIFO to send from */
    memcpy(&low, address, 4);
    high = address[4] | (uint32_t)address[5] << 8;
    mac_write(MAC_ADDRESS_LOW, low);
    mac_write(MAC_ADDRESS_HIGH, high);
    RX_CONFIG = 0;
    TX_CONFIG = 2;              /* on */
    mac_write(MAC_CONTROL, 0x0010000Cu); /* full duplex, receive, send */
    FIFO_INT = 0;               /* the interrupt comes with the first frame */
    IRQ_CONFIG = 0x111;         /* on, active high, push-pull */
    INT_ENABLE = RX_LEVEL;
    board_enable(BOARD_ETHERNET);

    netif->name[0] = 'e';
    netif->name[1] = 'n';
    netif->mtu = 1500;
    netif->hwaddr_len = sizeof address;
    memcpy(netif->hwaddr, address, sizeof address);
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_LINK_UP;
    netif->output = etharp_output;
    netif->linkoutput = send_frame;
    return ERR_OK;
}
