/* rand.h - random bytes from the kernel; never fails (aborts if getrandom() does). */
#pragma once

#include "common/pure/base.h"

void rand_bytes(void *out, size_t size);
