/* log.h - one line per event on standard error: time, level, message, key=value fields.
 * error = the operator must act; warn = a peer misbehaved (rate-limited per call site);
 * info = lifecycle; debug = trace. Thread: any. */
#pragma once

#include "common/pure/base.h"

enum log_level { LOG_NONE = -1, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

extern enum log_level log_threshold; /* LOG_INFO at start */
/** log_level_parse() - "error", "warn", "info", "debug". Return: 0, or 1 if unknown. */
int log_level_parse(const char *text, enum log_level *level);
void log_write(enum log_level level, const char *what, const char *fmt, ...) PRINTF(3, 4);

#define log_at(level, what, ...)                                                         \
	do {                                                                             \
		if ((level) <= log_threshold)                                            \
			log_write(level, what, __VA_ARGS__);                             \
	} while (0)
/* log_info("lease granted", "task=%" PRIu64 " worker=%s", ...): past tense, stable words. */
#define log_error(what, ...) log_at(LOG_ERROR, what, __VA_ARGS__)
#define log_warn(what, ...) log_at(LOG_WARN, what, __VA_ARGS__)
#define log_info(what, ...) log_at(LOG_INFO, what, __VA_ARGS__)
#define log_debug(what, ...) log_at(LOG_DEBUG, what, __VA_ARGS__)
