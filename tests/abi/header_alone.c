/* SPDX-License-Identifier: Apache-2.0
 * minimax.h needs no header before it and bears a second inclusion; compiled as C99 and as C11. */
#include <minimax.h>

int header_alone(void);
int header_alone(void) {
  return MINIMAX_VERSION_MATCHES();
}
