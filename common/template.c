/* template.c - scanner of ${...}. Names follow names_valid() without dots, so that the
 * suffix
 * ".list" cannot be part of a name. */
#include "common/template.h"

#include <string.h>

#define TEMPLATE_NAME_MAX 128

static bool name_is_valid(const char *name, size_t size)
{
	if (size == 0 || size > TEMPLATE_NAME_MAX || name[0] == '-')
		return false;
	for (size_t i = 0; i < size; i++) {
		char c = name[i];
		bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			  (c >= '0' && c <= '9') || c == '_' || c == '-';
		if (!ok)
			return false;
	}
	return true;
}

static bool take_prefix(const char **at, size_t *size, const char *prefix)
{
	size_t n = strlen(prefix);
	if (*size < n || memcmp(*at, prefix, n) != 0)
		return false;
	*at += n;
	*size -= n;
	return true;
}

static bool drop_suffix(const char *at, size_t *size, const char *suffix)
{
	size_t n = strlen(suffix);
	if (*size < n || memcmp(at + *size - n, suffix, n) != 0)
		return false;
	*size -= n;
	return true;
}

/* What stands between the braces. */
static void classify(struct template_span *span, const char *inside, size_t size)
{
	const char *name = inside;
	size_t left = size;
	enum template_kind kind = TEMPLATE_UNKNOWN;
	if (take_prefix(&name, &left, "p."))
		kind = TEMPLATE_PARAM;
	else if (take_prefix(&name, &left, "outputs."))
		kind = TEMPLATE_OUTPUT;
	else if (take_prefix(&name, &left, "inputs."))
		kind = drop_suffix(name, &left, ".list") ? TEMPLATE_INPUT_LIST
							 : TEMPLATE_INPUT;
	if (kind == TEMPLATE_UNKNOWN || !name_is_valid(name, left)) {
		kind = TEMPLATE_UNKNOWN;
		name = inside;
		left = size;
	}
	span->kind = kind;
	span->name = name;
	span->name_size = left;
}

void template_scan_init(struct template_scan *scan, const char *text, size_t size)
{
	*scan = (struct template_scan){.text = text, .size = size};
}

/* Length of what starts at @at with a dollar: 3 for "$${", 2 for "${", 0 for ordinary
 * text. */
static size_t opener(const char *at, size_t left)
{
	if (left >= 3 && memcmp(at, "$${", 3) == 0)
		return 3;
	return left >= 2 && at[1] == '{' ? 2 : 0;
}

bool template_next(struct template_scan *scan, struct template_span *span)
{
	size_t start = scan->at, left = scan->size - start;
	if (left == 0)
		return false;
	const char *at = scan->text + start, *end = scan->text + scan->size;
	size_t open = *at == '$' ? opener(at, left) : 0;
	*span = (struct template_span){.start = start};
	if (open == 3) {
		span->kind = TEMPLATE_ESCAPE;
		span->end = start + 3;
	} else if (open == 2) {
		const char *close = memchr(at + 2, '}', left - 2);
		if (close) {
			classify(span, at + 2, (size_t)(close - at) - 2);
			span->end = start + (size_t)(close - at) + 1;
		} else {
			span->kind = TEMPLATE_UNKNOWN;
			span->name = at + 2;
			span->name_size = left - 2;
			span->end = scan->size;
		}
	} else {
		const char *next = at + 1;
		while (next < end && (next = memchr(next, '$', (size_t)(end - next))) &&
		       opener(next, (size_t)(end - next)) == 0)
			next++;
		span->kind = TEMPLATE_TEXT;
		span->end = next ? (size_t)(next - scan->text) : scan->size;
	}
	scan->at = span->end;
	return true;
}

bool template_is_single(const char *text, size_t size, enum template_kind kind)
{
	struct template_scan scan;
	struct template_span span;
	template_scan_init(&scan, text, size);
	return template_next(&scan, &span) && span.kind == kind && span.end == size;
}

bool template_find_unknown(const char *text, size_t size, struct template_span *span)
{
	struct template_scan scan;
	template_scan_init(&scan, text, size);
	while (template_next(&scan, span))
		if (span->kind == TEMPLATE_UNKNOWN)
			return true;
	return false;
}
