/* manual.c - see manual.h. Plain man(7) macros, which man-db, mandoc and others know. */
#include "client/cli/manual.h"

#include "version.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define DATE "2026-11-23" /* when somebody last read the pages */

/* ---- text ---- */

/* One line of text: nothing in it is an instruction or a hyphen by accident. */
static void add_escaped(struct buf *out, const char *text, size_t size)
{
	if (size && (*text == '.' || *text == '\''))
		buf_add_str(out, "\\&");
	for (size_t i = 0; i < size; i++) {
		switch (text[i]) {
		case '\\':
			buf_add_str(out, "\\e");
			break;
		case '-':
			buf_add_str(out, "\\-");
			break;
		case '~':
			buf_add_str(out, "\\(ti");
			break;
		case '^':
			buf_add_str(out, "\\(ha");
			break;
		case '\'':
			buf_add_str(out, "\\(aq");
			break;
		default:
			buf_add_byte(out, (uint8_t)text[i]);
		}
	}
}

static void add_text(struct buf *out, const char *text)
{
	add_escaped(out, text, strlen(text));
}

/* Sentences; a line end begins a paragraph. */
static void add_paragraphs(struct buf *out, const char *text)
{
	while (*text) {
		size_t size = strcspn(text, "\n");
		add_escaped(out, text, size);
		buf_add_byte(out, '\n');
		text += size;
		if (*text) {
			buf_add_str(out, ".PP\n");
			text++;
		}
	}
}

static void add_bold(struct buf *out, const char *text)
{
	buf_add_str(out, "\\fB");
	add_text(out, text);
	buf_add_str(out, "\\fR");
}

static void add_italic(struct buf *out, const char *text)
{
	buf_add_str(out, "\\fI");
	add_text(out, text);
	buf_add_str(out, "\\fR");
}

/* Lines as they are typed. */
static void add_lines(struct buf *out, const char *text)
{
	buf_add_str(out, ".nf\n");
	while (*text) {
		size_t size = strcspn(text, "\n");
		add_escaped(out, text, size);
		buf_add_byte(out, '\n');
		text += size + (text[size] == '\n');
	}
	buf_add_str(out, ".fi\n");
}

static void add_head(struct buf *out, const char *page, const char *summary)
{
	CLEANUP_BUF struct buf upper = {0};
	for (const char *at = page; *at; at++)
		buf_add_byte(&upper, (uint8_t)toupper((unsigned char)*at));
	buf_add_str(out, ".\\\" made from the tables of commands and options\n.TH ");
	add_text(out, buf_cstr(&upper));
	buf_add_str(out,
		    " 1 " DATE " \"cashet " CASHET_VERSION "\" \"cashet\"\n.SH NAME\n");
	add_text(out, page);
	buf_add_str(out, " \\- ");
	add_text(out, summary);
	buf_add_byte(out, '\n');
}

static void section(struct buf *out, const char *name)
{
	buf_printf(out, ".SH %s\n", name);
}

/* ---- options ---- */

static void add_option(struct buf *out, const struct option_row *row)
{
	char name[64];
	buf_add_str(out, ".TP\n");
	if (row->letter) {
		snprintf(name, sizeof name, "-%c", row->letter);
		add_bold(out, name);
		buf_add_str(out, ", ");
	}
	snprintf(name, sizeof name, "--%s", row->name);
	add_bold(out, name);
	if (row->value) {
		buf_add_byte(out, ' ');
		add_italic(out, row->value);
	}
	buf_add_byte(out, '\n');
	add_text(out, row->help);
	buf_add_byte(out, '\n');
}

static void add_options(struct buf *out, unsigned sets)
{
	for (size_t i = 0; i < option_count; i++)
		if (option_table[i].set & sets)
			add_option(out, &option_table[i]);
}

static void add_row(struct buf *out, const char *left, const char *right)
{
	buf_add_str(out, ".TP\n");
	add_bold(out, left);
	buf_add_byte(out, '\n');
	add_text(out, right);
	buf_add_byte(out, '\n');
}

/* ---- what every page ends with ---- */

static const struct {
	const char *name, *meaning;
} environment[] = {
	{"CASHET_BROKER", "the broker's URL, if --broker is not given"},
	{"CASHET_DIR", "the store's folder, if neither a broker nor --store is given"},
	{"CASHET_KEY", "our secret key: a file, or the name of a key"},
	{"CASHET_INSECURE", "1: use no keys, as --insecure"},
	{"CASHET_CONFIG", "the folder of keys and secrets, instead of ~/.config/cashet"},
	{"CASHET_PAGER", "what long output goes through on a terminal; else PAGER, else "
			 "less -FRX; an empty one means none"},
	{"CASHET_PRIVATE_IDLE",
	 "seconds after which a private broker ends when nobody needs it (default: 60)"},
	{"CASHET_BROKER_PROGRAM", "the program that is started as private broker"},
	{"NO_COLOR", "if it is not empty: no colours"},
};

static void add_exit_status(struct buf *out)
{
	section(out, "EXIT STATUS");
	for (size_t i = 0; i < exit_code_count; i++) {
		char code[16];
		snprintf(code, sizeof code, "%d", exit_codes[i].code);
		add_row(out, code, exit_codes[i].meaning);
	}
}

static void add_page(struct buf *out, const char *page, bool last)
{
	add_bold(out, page);
	buf_printf(out, "(1)%s\n", last ? "" : ",");
}

const char *manual_page_name(const char *name, char out[64])
{
	snprintf(out, 64, "cashet%s%s", name ? "-" : "", name ? name : "");
	for (char *at = out; *at; at++)
		if (*at == ' ')
			*at = '-';
	return out;
}

/* ---- pages ---- */

void manual_program(struct buf *out)
{
	char page[64];
	add_head(out, "cashet", "run work once, anywhere, and look at its results");
	section(out, "SYNOPSIS");
	add_bold(out, "cashet");
	buf_add_byte(out, ' ');
	add_italic(out, "COMMAND");
	buf_add_byte(out, ' ');
	buf_add_str(out, "[\\fIOPTIONS\\fR] ...\n");
	section(out, "DESCRIPTION");
	add_paragraphs(
		out,
		"Batches of tasks are submitted to a broker, which has them run by "
		"workers and keeps every result under the hash of exactly what produced "
		"it. What was computed is not computed again.\n"
		"Where the broker or the store is: the first of --broker, CASHET_BROKER, "
		"--store, CASHET_DIR, ./.cashet decides. A store's folder is looked "
		"after by a private broker, which is started when it is needed and "
		"leaves by itself.\n"
		"Standard output is the product; progress, remarks and errors go to "
		"standard error. Batches and commits are named by any unique prefix of 4 "
		"or more digits of their hash, a task by BATCH:INDEX.");
	section(out, "COMMANDS");
	for (size_t i = 0; i < command_count; i++) {
		const struct command *c = &command_table[i];
		if (c->hidden)
			continue;
		buf_add_str(out, ".TP\n");
		add_bold(out, c->name);
		if (*c->words) {
			buf_add_byte(out, ' ');
			add_italic(out, c->words);
		}
		buf_add_byte(out, '\n');
		add_text(out, c->summary);
		buf_add_str(out, "; see\n");
		add_page(out, manual_page_name(c->name, page), true);
	}
	section(out, "OPTIONS");
	add_options(out, OPTIONS_GLOBAL);
	section(out, "ENVIRONMENT");
	for (size_t i = 0; i < ARRAY_LEN(environment); i++)
		add_row(out, environment[i].name, environment[i].meaning);
	section(out, "FILES");
	add_row(out, "./.cashet", "the store, unless another is named");
	add_row(out, "~/.config/cashet", "keys, trusted keys, secrets");
	add_exit_status(out);
	section(out, "SEE ALSO");
	add_page(out, "cashet-broker", false);
	add_page(out, "cashet-worker", false);
	for (size_t i = 0; i < command_count; i++)
		if (!command_table[i].hidden)
			add_page(out, manual_page_name(command_table[i].name, page),
				 i + 2 == command_count);
}

static void add_usage(struct buf *out, const char *program, const char *words)
{
	add_bold(out, program);
	buf_add_str(out, " [\\fIOPTIONS\\fR]");
	if (*words) {
		buf_add_byte(out, ' ');
		add_italic(out, words);
	}
	buf_add_byte(out, '\n');
}

void manual_command(struct buf *out, const struct command *command)
{
	char page[64], program[64];
	add_head(out, manual_page_name(command->name, page), command->summary);
	section(out, "SYNOPSIS");
	snprintf(program, sizeof program, "cashet %s", command->name);
	add_usage(out, program, command->words);
	if (strcmp(command->name, "submit") == 0) {
		buf_add_str(out, ".br\n");
		add_usage(out, page, command->words);
	}
	if (command->help) {
		section(out, "DESCRIPTION");
		add_paragraphs(out, command->help);
	}
	if (command->options) {
		section(out, "OPTIONS");
		add_options(out, command->options);
	}
	section(out, "OPTIONS OF EVERY COMMAND");
	add_options(out, OPTIONS_GLOBAL);
	if (command->examples) {
		section(out, "EXAMPLES");
		add_lines(out, command->examples);
	}
	add_exit_status(out);
	section(out, "SEE ALSO");
	add_page(out, "cashet", true);
}

void manual_daemon(struct buf *out, const struct daemon *daemon)
{
	add_head(out, daemon->name, daemon->summary);
	section(out, "SYNOPSIS");
	add_lines(out, daemon->synopsis);
	section(out, "DESCRIPTION");
	add_paragraphs(out, daemon->text);
	section(out, "OPTIONS");
	for (size_t i = 0; i < daemon->flag_count; i++) {
		const struct flag *f = &daemon->flags[i];
		const struct option_row row = {
			.name = f->name, .value = f->value, .help = f->help};
		add_option(out, &row);
	}
	section(out, "SEE ALSO");
	add_page(out, "cashet", true);
}
