/* clock.h - the clocks. Only event loops read them; everything else is told the time. */
#pragma once

#include "common/pure/base.h"

uint64_t clock_mono_ns(void); /* CLOCK_MONOTONIC */
uint64_t clock_wall_ms(void); /* milliseconds since 1970, UTC; for display and ttl only */
