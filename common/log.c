/* log.c - see log.h. A line is one write(), so lines of several threads and processes do not mix.
 * Fields carry what strangers wrote, so they are escaped. Warnings are what strangers can cause at
 * will: each kind (its stable words) may say WARN_BURST lines in WARN_WINDOW; the first line of the
 * next window tells how many were left out. */
#include "common/log.h"

#include "common/clock.h"
#include "common/json.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WARN_BURST 10
#define WARN_WINDOW (10 * NS_PER_S)
#define WARN_KINDS 64 /* power of two; kinds that share a row share its limit */

enum log_level log_threshold = LOG_INFO;

static const char *const level_names[] = {
	[LOG_ERROR] = "error",
	[LOG_WARN] = "warn",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

int log_level_parse(const char *text, enum log_level *level)
{
	for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
		if (strcmp(text, level_names[i]))
			continue;
		*level = (enum log_level)i;
		return 0;
	}
	return 1;
}

static uint32_t hash_text(const char *text)
{
	uint32_t hash = 2166136261u; /* FNV-1a */
	for (; *text; text++)
		hash = (hash ^ (uint8_t)*text) * 16777619u;
	return hash;
}

/* warn_allowed() - @leftp: how many were left out before this one. */
static bool warn_allowed(const char *what, uint32_t *leftp)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct {
		uint64_t since_ns;
		uint32_t said, left_out;
	} kinds[WARN_KINDS];
	uint64_t now_ns = clock_mono_ns();
	bool allowed = true;
	*leftp = 0;
	pthread_mutex_lock(&lock);
	__typeof__(&kinds[0]) kind = &kinds[hash_text(what) % WARN_KINDS];
	if (!kind->since_ns || now_ns - kind->since_ns >= WARN_WINDOW) {
		*leftp = kind->left_out;
		kind->since_ns = now_ns;
		kind->said = 1;
		kind->left_out = 0;
	} else if (kind->said < WARN_BURST) {
		kind->said++;
	} else {
		kind->left_out++;
		allowed = false;
	}
	pthread_mutex_unlock(&lock);
	return allowed;
}

static void add_time(struct buf *out)
{
	uint64_t ms = clock_wall_ms();
	time_t seconds = (time_t)(ms / 1000);
	struct tm utc;
	char text[32];
	gmtime_r(&seconds, &utc);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
	buf_printf(out, "%s.%03uZ", text, (unsigned)(ms % 1000));
}

void log_write(enum log_level level, const char *what, const char *fmt, ...)
{
	uint32_t left_out = 0;
	if (level == LOG_WARN && !warn_allowed(what, &left_out))
		return;

	CLEANUP_BUF struct buf fields = {0};
	CLEANUP_BUF struct buf line = {0};
	va_list args;
	va_start(args, fmt);
	buf_vprintf(&fields, fmt, args);
	va_end(args);

	add_time(&line);
	buf_printf(&line, " %-5s ", level_names[level]);
	text_escape(&line, what, strlen(what));
	if (fields.size) {
		buf_add_byte(&line, ' ');
		text_escape(&line, (const char *)fields.data, fields.size);
	}
	if (left_out)
		buf_printf(&line, " left_out=%u", left_out);
	buf_add_byte(&line, '\n');
	if (line.failed)
		return;
	/* Where standard error is gone there is nobody to tell. */
	ssize_t written = write(STDERR_FILENO, line.data, line.size);
	(void)written;
}
