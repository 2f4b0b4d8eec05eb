/* template.h - where ${...} stands in a text, for those that check it (client) and those
 * that fill it in (worker). One scanner, so the two cannot disagree. Pure: no memory is
 * taken.
 *
 *   ${p.NAME}            value of a parameter
 *   ${inputs.NAME}       path of an input, or the paths of its members
 *   ${inputs.NAME.list}  path of the file that lists the members
 *   ${outputs.NAME}      path of an output
 *   $${                  a literal ${
 *
 * Any other ${ is TEMPLATE_UNKNOWN: an error for everybody. Any other $ is ordinary text.
 */
#pragma once

#include "common/pure/base.h"

enum template_kind {
	TEMPLATE_TEXT,	 /* text[start, end) as it is */
	TEMPLATE_ESCAPE, /* $${ : stands for ${ */
	TEMPLATE_PARAM,
	TEMPLATE_INPUT,
	TEMPLATE_INPUT_LIST,
	TEMPLATE_OUTPUT,
	TEMPLATE_UNKNOWN, /* not one of ours, a bad name, or no closing brace */
};

struct template_span {
	enum template_kind kind;
	size_t start, end; /* within the text, braces included */
	const char *name;  /* borrowed from the text, NOT terminated; UNKNOWN: what the
			      braces hold */
	size_t name_size;
};

struct template_scan {
	const char *text;
	size_t size, at;
};

void template_scan_init(struct template_scan *scan, const char *text, size_t size);
/** template_next() - the next span; spans cover the text without gaps. Return: false at
 * the end. */
bool template_next(struct template_scan *scan, struct template_span *span);
/** template_is_single() - true if the whole text is one span of @kind: an argv item of
 * its own. */
bool template_is_single(const char *text, size_t size, enum template_kind kind);
/** template_find_unknown() - true if @text has an unknown ${...}; @span then says where.
 */
bool template_find_unknown(const char *text, size_t size, struct template_span *span);
