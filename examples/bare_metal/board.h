/* board.h - what the firmware wants of its board, here qemu's mps2-an385 (Cortex-M3 at
   25 MHz). Another board: another board.c. */
#ifndef BOARD_H
#define BOARD_H

#include <stddef.h>
#include <stdint.h>

void board_init(void);          /* first: paints the stack, starts the clock */

/* In the form of sbx_net. */
uint64_t board_ms(void *ctx);   /* since board_init() */
int64_t board_unix_ms(void *ctx);
int board_entropy(void *ctx, void *buf, size_t len);

/* Interrupts by number, of a device. Their handlers are board_*_irq() below, each defined
   by the driver that is linked; a handler runs only while its line is enabled. */
enum { BOARD_UART0_RX = 0, BOARD_ETHERNET = 13 };
void board_enable(unsigned irq);
void board_disable(unsigned irq);
void board_nmi_irq(void);       /* is always on: the watchdog's */
void board_uart0_rx_irq(void);
void board_ethernet_irq(void);

/* Sleeps until the next interrupt, that of the clock at the latest: 1 ms. */
void board_sleep(void);

/* The console. */
void say(const char *text);
void say_number(uint32_t n);

/* Bytes of stack: reserved by the linker, and used at the deepest so far. */
uint32_t board_stack_size(void);
uint32_t board_stack_used(void);

#endif
