/* slot.h - a slot process: runs one program at a time and leaves nothing of it behind. */
#pragma once

#include "worker/spawner/protocol.h"

/** slot_main() - body of a slot process, behind fork(). @sock: its end of the socket to
 * the worker; every other descriptor but 0, 1, 2 is closed. */
void slot_main(int sock) __attribute__((noreturn));
