/* show.c - how values, titles, durations and whole batches look to people. */
#include "client/cli/cli.h"

#include "client/batch/scalar.h"
#include "common/clock.h"
#include "common/num.h"
#include "common/pure/hex.h"
#include "common/pure/mem.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX 60 /* characters of a text in a table */

void show_double(struct buf *out, double value, bool exact)
{
	char text[32];
	if (exact || !isfinite(value))
		buf_add_str(out, num_format_double(text, value));
	else
		buf_printf(out, "%.6g", value);
}

void show_cut(struct buf *out, const char *text, size_t characters)
{
	size_t at = 0;
	for (size_t count = 0; text[at]; at++) {
		if (((unsigned char)text[at] & 0xc0) == 0x80)
			continue;
		if (count++ == characters)
			break;
	}
	buf_add(out, text, at);
	if (text[at])
		buf_add_str(out, "...");
}

static void show_param_double(struct buf *out, double value, bool exact)
{
	size_t start = out->size;
	show_double(out, value, exact);
	if (!strpbrk(buf_cstr(out) + start, ".eniNI"))
		buf_add_str(out, ".0");
}

/* A text that reads like something else? Lists, maps, bytes and references begin as arg_format() has it. */
static bool needs_quotes(const char *text)
{
	struct value v;
	switch (scalar_parse(text, &v)) {
	case SCALAR_TEXT:
		if (strchr("\"[{<(", *text))
			return true;
		text += *text == '-'; /* how floats of no value are shown */
		return !strcmp(text, "nan") || !strcmp(text, "inf");
	case SCALAR_NULL:
	case SCALAR_VALUE:
	case SCALAR_NOT_FINITE:
	case SCALAR_OUT_OF_RANGE:
		break;
	}
	return true;
}

void show_value(struct buf *out, const struct cashet_value *value, enum show_how how)
{
	struct json j;
	switch (value->type) {
	case CASHET_BOOL:
		buf_add_str(out, value->boolean ? "true" : "false");
		break;
	case CASHET_INT:
		buf_printf(out, "%" PRId64, value->i);
		break;
	case CASHET_UINT:
		buf_printf(out, "%" PRIu64, value->u);
		break;
	case CASHET_DOUBLE:
		show_param_double(out, value->d, how != SHOW_TABLE);
		break;
	case CASHET_STRING:
		json_init(&j, out);
		if (how != SHOW_CSV && !value->is_written && needs_quotes(value->text))
			json_string(&j, value->text);
		else if (how == SHOW_TABLE)
			show_cut(out, value->text, TEXT_MAX);
		else
			buf_add_str(out, value->text);
		break;
	}
}

void show_title(struct buf *out, const char *name, const struct cashet_param *params,
		size_t count)
{
	text_escape(out, name, strlen(name));
	for (size_t i = 0; i < count; i++) {
		CLEANUP_BUF struct buf value = {0};
		show_value(&value, &params[i].value, SHOW_TABLE);
		buf_add_byte(out, i ? ',' : '[');
		text_escape(out, params[i].name, strlen(params[i].name));
		buf_add_byte(out, '=');
		text_escape(out, buf_cstr(&value), value.size);
	}
	if (count)
		buf_add_byte(out, ']');
}

const char *show_status(const struct cashet_result *r)
{
	return r->cached ? "cached" : cashet_status_name(r->status);
}

void show_duration(struct buf *out, uint64_t ns)
{
	uint64_t s = ns / NS_PER_S;
	if (ns < NS_PER_S / 10)
		buf_printf(out, "%.1fms", (double)ns / NS_PER_MS);
	else if (s < 60)
		buf_printf(out, "%.2fs", (double)ns / NS_PER_S);
	else if (s < 3600)
		buf_printf(out, "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
	else
		buf_printf(out, "%" PRIu64 "h%02" PRIu64 "m", s / 3600, s / 60 % 60);
}

void show_ago(struct buf *out, uint64_t wall_ms)
{
	uint64_t now = clock_wall_ms();
	uint64_t s = now > wall_ms ? (now - wall_ms) / 1000 : 0;
	if (!wall_ms)
		buf_add_byte(out, '-');
	else if (s < 60)
		buf_printf(out, "%" PRIu64 "s ago", s);
	else if (s < 3600)
		buf_printf(out, "%" PRIu64 "m ago", s / 60);
	else if (s < 48 * 3600)
		buf_printf(out, "%" PRIu64 "h ago", s / 3600);
	else
		buf_printf(out, "%" PRIu64 "d ago", s / 86400);
}

void show_counts(struct buf *out, const struct cashet_counts *c)
{
	const struct {
		const char *name;
		uint64_t count;
	} parts[] = {
		{"cached", c->cached},
		{"executed", c->executed},
		{"deduplicated", c->deduplicated},
		{"running", c->running},
		{"ready", c->ready},
		{"waiting", c->waiting},
		{"failed", c->failed},
		{"skipped", c->skipped},
		{"cancelled", c->cancelled},
	};
	buf_printf(out, "%" PRIu64 " task%s", c->total, c->total == 1 ? "" : "s");
	bool first = true;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (!parts[i].count)
			continue;
		buf_printf(out, "%s%" PRIu64 " %s", first ? ": " : ", ", parts[i].count,
			   parts[i].name);
		first = false;
	}
}

void show_short(char out[SHORT_HASH + 1], const uint8_t digest[32])
{
	hex_encode(out, digest, SHORT_HASH / 2);
}
