/* show_changes.c - see show_why.h. Changes become lines of three columns: what kind, which one, how it
 * differs; and at the end of those that count an arrow. */
#include "client/cli/show_why.h"

#include "common/pure/hex.h"
#include "common/pure/mem.h"

#include <stdlib.h>
#include <string.h>

#define LABEL_WIDTH 8
#define VALUE_MAX 60	/* bytes of a value on one line */
#define CAUSE_COLUMN 52 /* where the arrow stands, unless a line is longer */
#define CAUSE_LONGEST 76
#define YELLOW "\033[33m"
#define PLAIN "\033[0m"

static void escape(struct buf *out, const char *text)
{
	text_escape(out, text, strlen(text));
}

bool show_is_identity(const struct cashet_change *c)
{
	return c->component < CASHET_TAG || c->component == CASHET_INTERPRETER ||
	       c->component == CASHET_DEFINITION || c->component == CASHET_PACKAGE ||
	       c->component == CASHET_FLAGS;
}

/* ---- values ---- */

static void add_value(struct buf *out, const char *text)
{
	size_t size = strlen(text), shown = size < VALUE_MAX ? size : VALUE_MAX;
	while (shown < size && shown && ((unsigned char)text[shown] & 0xc0) == 0x80)
		shown--;
	if (!size)
		buf_add_str(out, "\"\"");
	text_escape(out, text, shown);
	if (shown < size)
		buf_printf(out, "... (%zu bytes)", size);
}

static void add_digest(struct buf *out, const struct cashet_content *c)
{
	char hex[2 * 4 + 1];
	buf_printf(out, "%s...", hex_encode(hex, c->digest, 4));
}

static void add_texts(struct buf *out, const struct cashet_change *c)
{
	switch (c->how) {
	case CASHET_SAME:
		buf_add_str(out, "unchanged");
		return;
	case CASHET_CHANGED:
		add_value(out, c->before);
		buf_add_str(out, " -> ");
		add_value(out, c->after);
		return;
	case CASHET_ADDED:
		add_value(out, c->after);
		buf_add_str(out, " (new)");
		return;
	case CASHET_REMOVED:
		buf_add_str(out, "was ");
		add_value(out, c->before);
		buf_add_str(out, ", is gone");
		return;
	}
}

static void add_input(struct buf *out, const struct cashet_change *c)
{
	bool same_bytes = c->how == CASHET_CHANGED &&
			  !memcmp(c->old.digest, c->now.digest, sizeof c->now.digest);
	if (c->how == CASHET_SAME) {
		buf_add_str(out, "unchanged (");
		add_digest(out, &c->now);
		buf_add_byte(out, ')');
	} else if (same_bytes && strcmp(c->before, c->after)) {
		buf_add_str(out, "file name ");
		add_value(out, c->before);
		buf_add_str(out, " -> ");
		add_value(out, c->after);
	} else if (same_bytes) {
		buf_add_str(out, "is of another kind (file, folder, executable)");
	} else {
		if (c->how != CASHET_ADDED)
			add_digest(out, &c->old);
		buf_add_str(out, c->how == CASHET_CHANGED ? " -> " : "");
		if (c->how != CASHET_REMOVED)
			add_digest(out, &c->now);
		buf_add_str(out, c->how == CASHET_ADDED	    ? " (new)"
				 : c->how == CASHET_REMOVED ? " is gone"
							    : "");
	}
	if (!c->has_origin || c->how == CASHET_SAME)
		return;
	buf_add_str(out, ", from ");
	escape(out, c->origin_name);
	if (c->origin_count > 1)
		buf_printf(out, " (%u tasks%s)", c->origin_count,
			   c->origin_ran ? ", of which some ran again" : "");
	else
		buf_printf(out, ":%u (%s%.*s)", c->origin_index,
			   c->origin_ran ? "which ran again, " : "a hit, ", SHORT_HASH,
			   *c->origin_commit ? c->origin_commit : "-");
}

static void add_code(struct buf *out, const struct cashet_change *c)
{
	if (*c->where) {
		escape(out, c->where);
		return;
	}
	escape(out, c->name);
	switch (c->how) {
	case CASHET_SAME:
		buf_add_str(out, "  unchanged");
		return;
	case CASHET_CHANGED:
		buf_add_str(out, "  changed (");
		add_digest(out, &c->old);
		buf_add_str(out, " -> ");
		add_digest(out, &c->now);
		buf_add_byte(out, ')');
		return;
	case CASHET_ADDED:
		buf_add_str(out, "  is new");
		return;
	case CASHET_REMOVED:
		buf_add_str(out, "  is gone");
		return;
	}
}

/* ---- lines ---- */

static const char *label_of(const struct cashet_change *c)
{
	static const char *const labels[] = {
		[CASHET_COMMAND] = "command",	[CASHET_ENV] = "env",
		[CASHET_OUTPUT] = "output",	[CASHET_METRICS] = "metrics",
		[CASHET_SALT] = "salt",		[CASHET_CODE] = "function",
		[CASHET_PARAM] = "params",	[CASHET_INPUT] = "input",
		[CASHET_VERSION] = "version",	[CASHET_TAG] = "tag",
		[CASHET_OPTION] = "option",	[CASHET_SOURCE] = "function",
		[CASHET_LAYOUT] = "function",	[CASHET_DEFINITION] = "function",
		[CASHET_FLAGS] = "cflags",	[CASHET_PACKAGE] = "package",
		[CASHET_INTERPRETER] = "python"};
	return (unsigned)c->component < ARRAY_LEN(labels) ? labels[c->component]
							  : "other";
}

static bool is_of_function(const struct cashet_change *c)
{
	return c->component <= CASHET_CODE || c->component == CASHET_SOURCE ||
	       (c->component > CASHET_OPTION && show_is_identity(c));
}

struct line {
	const char *label;
	struct buf name, text;
	bool cause;
};

struct lines {
	struct line *items;
	size_t count, capacity;
};

static struct line *add_line(struct lines *l, const char *label)
{
	mem_grow(l->items, l->count, l->capacity);
	l->items[l->count] = (struct line){.label = label};
	return &l->items[l->count++];
}

static void lines_fini(struct lines *l)
{
	for (size_t i = 0; i < l->count; i++) {
		buf_fini(&l->items[i].name);
		buf_fini(&l->items[i].text);
	}
	free(l->items);
}

static void line_of(struct lines *l, const struct cashet_change *c)
{
	struct line *line = add_line(l, label_of(c));
	line->cause = show_is_identity(c) && c->how != CASHET_SAME;
	if (c->component == CASHET_CODE || c->component == CASHET_DEFINITION) {
		add_code(&line->name, c);
		return;
	}
	escape(&line->name, c->name);
	/* What has no name of its own stands in its column. */
	struct buf *text = *c->name ? &line->text : &line->name;
	if (c->component == CASHET_INPUT)
		add_input(text, c);
	else if (c->component == CASHET_VERSION)
		buf_add_str(
			text,
			c->how == CASHET_SAME
				? "unchanged"
				: "changed; what it was is not in the store any more");
	else
		add_texts(text, c);
}

/* What is unchanged of one kind in one line: "lr opt seed  unchanged". */
static void same_line(struct lines *l, const char *label, enum cashet_component component,
		      const struct cashet_change *changes, size_t count)
{
	struct line *line = NULL;
	for (size_t i = 0; i < count; i++) {
		if (changes[i].component != component || changes[i].how != CASHET_SAME)
			continue;
		if (!line) {
			line = add_line(l, label);
			buf_add_str(&line->text, "unchanged");
		}
		if (line->name.size)
			buf_add_byte(&line->name, ' ');
		escape(&line->name, changes[i].name);
	}
}

static void gather(struct lines *l, const struct cashet_change *changes, size_t count)
{
	bool function_changed = false, has_function = false;
	for (size_t i = 0; i < count; i++) {
		if (!is_of_function(&changes[i]))
			continue;
		has_function = true;
		if (changes[i].how == CASHET_SAME ||
		    changes[i].component == CASHET_SOURCE)
			continue;
		function_changed = true;
		line_of(l, &changes[i]);
	}
	if (has_function && !function_changed)
		buf_add_str(&add_line(l, "function")->name, "unchanged");
	for (size_t i = 0; i < count; i++)
		if (changes[i].component == CASHET_VERSION)
			line_of(l, &changes[i]);
	for (size_t i = 0; i < count; i++)
		if (changes[i].component == CASHET_INPUT)
			line_of(l, &changes[i]);
	for (size_t i = 0; i < count; i++)
		if (changes[i].component == CASHET_PARAM && changes[i].how != CASHET_SAME)
			line_of(l, &changes[i]);
	same_line(l, "params", CASHET_PARAM, changes, count);
}

static size_t width_of(struct buf *text)
{
	return text_width(buf_cstr(text));
}

static void pad(struct buf *out, size_t from, size_t to)
{
	for (; from < to; from++)
		buf_add_byte(out, ' ');
}

static void render(struct buf *out, struct lines *l, bool causes, bool color)
{
	size_t name_width = 0, end = CAUSE_COLUMN;
	for (size_t i = 0; i < l->count; i++)
		if (l->items[i].text.size && width_of(&l->items[i].name) > name_width)
			name_width = width_of(&l->items[i].name);
	for (size_t i = 0; i < l->count; i++) {
		struct line *line = &l->items[i];
		size_t width = 2 + LABEL_WIDTH + 2;
		width += line->text.size ? name_width + 2 + width_of(&line->text)
					 : width_of(&line->name);
		if (line->cause && width > end && width <= CAUSE_LONGEST)
			end = width;
	}
	for (size_t i = 0; i < l->count; i++) {
		struct line *line = &l->items[i];
		size_t start = out->size;
		buf_printf(out, "  %-*s  %s", LABEL_WIDTH, line->label,
			   buf_cstr(&line->name));
		if (line->text.size) {
			pad(out, width_of(&line->name), name_width + 2);
			buf_add_str(out, buf_cstr(&line->text));
		}
		if (causes && line->cause) {
			buf_add_byte(out, '\0');
			size_t width = text_width((const char *)out->data + start);
			out->size--;
			pad(out, width, end);
			buf_printf(out, "  %s<- cause%s", color ? YELLOW : "",
				   color ? PLAIN : "");
		}
		buf_add_byte(out, '\n');
	}
}

void show_changes(struct buf *out, const struct cashet_change *changes, size_t count,
		  bool causes, bool color)
{
	struct lines l = {0};
	gather(&l, changes, count);
	render(out, &l, causes, color);
	lines_fini(&l);
	/* What differs and is no cause, in one line. */
	bool first = true;
	for (size_t i = 0; i < count; i++) {
		if (changes[i].component != CASHET_LAYOUT)
			continue;
		buf_add_str(out, first ? "  not a cause: what differs in " : ", ");
		escape(out, changes[i].name);
		first = false;
	}
	if (!first)
		buf_add_str(out, " (comments, layout, what is not reached)");
	for (size_t i = 0; i < count; i++) {
		const struct cashet_change *c = &changes[i];
		if (c->component != CASHET_TAG && c->component != CASHET_OPTION)
			continue;
		if (c->how == CASHET_SAME)
			continue;
		buf_add_str(out, first ? "  not a cause: " : ", ");
		buf_printf(out, "%s", c->component == CASHET_TAG ? "tag " : "");
		escape(out, c->name);
		buf_add_byte(out, ' ');
		add_texts(out, c);
		first = false;
	}
	if (!first)
		buf_add_byte(out, '\n');
}

void show_cause(struct buf *out, const struct cashet_change *c, bool several)
{
	switch (c->component) {
	case CASHET_CODE:
	case CASHET_DEFINITION:
		if (*c->where) {
			escape(out, c->where);
			return;
		}
		escape(out, c->name);
		buf_add_str(out, c->how == CASHET_ADDED	    ? " is new"
				 : c->how == CASHET_REMOVED ? " is gone"
							    : " changed");
		return;
	case CASHET_INPUT:
		buf_add_str(out, "input ");
		escape(out, c->name);
		buf_add_str(out, " changed");
		return;
	case CASHET_PARAM:
		escape(out, c->name);
		buf_add_str(out, several ? ", for example " : " ");
		add_texts(out, c);
		return;
	case CASHET_COMMAND:
	case CASHET_ENV:
	case CASHET_OUTPUT:
	case CASHET_METRICS:
	case CASHET_SALT:
	case CASHET_TAG:
	case CASHET_OPTION:
	case CASHET_INTERPRETER:
	case CASHET_PACKAGE:
	case CASHET_FLAGS:
		buf_printf(out, "%s ", label_of(c));
		escape(out, c->name);
		if (*c->name)
			buf_add_byte(out, ' ');
		add_texts(out, c);
		return;
	case CASHET_SOURCE:
	case CASHET_LAYOUT:
	case CASHET_VERSION:
		break;
	}
	buf_add_str(out, "function or arguments changed");
}
