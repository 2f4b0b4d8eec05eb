/* describer.c - what its parts share. */
#include "runners/c/describe/describer.h"

#include "common/pure/mem.h"

#include <string.h>

void describer_init(struct describer *d, const struct flags *flags)
{
	*d = (struct describer){.flags = flags};
	atoms_init(&d->atoms, &d->arena);
	const struct {
		uint32_t *atom;
		const char *word;
	} words[] = {
		{&d->a_struct, "struct"},
		{&d->a_union, "union"},
		{&d->a_enum, "enum"},
		{&d->a_attribute, "__attribute__"},
		{&d->a_attribute2, "__attribute"},
		{&d->a_pragma, "_Pragma"},
		{&d->a_asm, "asm"},
		{&d->a_asm2, "__asm__"},
		{&d->a_asm3, "__asm"},
		{&d->a_define, "define"},
		{&d->a_undef, "undef"},
		{&d->a_include, "include"},
		{&d->a_include_next, "include_next"},
		{&d->a_pragma_line, "pragma"},
	};
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		*words[i].atom =
			atoms_of(&d->atoms, words[i].word, strlen(words[i].word));
	d->index = clang.createIndex(0, 0);
}

static char *format_text(struct describer *d, const char *format, va_list args)
	PRINTF(2, 0);

static char *format_text(struct describer *d, const char *format, va_list args)
{
	CLEANUP_BUF struct buf text = {0};
	buf_vprintf(&text, format, args);
	return arena_copy(&d->arena, text.data, text.size);
}

int describer_fail(struct describer *d, const char *name, const char *file, uint32_t line,
		   uint32_t column, const char *format, ...)
{
	if (d->problem.name)
		return 1;
	va_list args;
	va_start(args, format);
	d->problem = (struct problem){.name = name,
				      .message = format_text(d, format, args),
				      .file = file,
				      .line = line,
				      .column = column};
	va_end(args);
	return 1;
}

void describer_warn(struct describer *d, const char *name, const char *subject,
		    const struct text *text, const struct token *token,
		    const char *format, ...)
{
	for (size_t i = 0; i < d->warning_count; i++) {
		const struct warning *w = &d->warnings[i];
		if (w->name == name && w->line == token->line &&
		    !strcmp(w->subject, subject) && !strcmp(w->file, text->path))
			return;
	}
	va_list args;
	va_start(args, format);
	mem_grow(d->warnings, d->warning_count, d->warning_capacity);
	d->warnings[d->warning_count++] =
		(struct warning){.name = name,
				 .subject = subject,
				 .message = format_text(d, format, args),
				 .file = text->path,
				 .line = token->line,
				 .column = describer_column(text, token->start)};
	va_end(args);
}
