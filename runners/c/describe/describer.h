/* describer.h - how sources in C are described, inside.
 *
 *	unit       a translation unit: a .c file and what it includes, as libclang parses it (unit.c)
 *	text       one file of the user's, as tokens (text.c)
 *	statement  a declaration or definition at the top of a file: from behind the one before to its ";" or
 *		   "}", so that attributes are in it wherever they stand (statements.c)
 *	macro      all #defines of a name in a unit (macros.c)
 *	node       a statement or macro that the entry reaches, and what it refers to (node.c, reach.c)
 *	section    a node in the canonical form (canon.c)
 *
 * libclang says where declarations begin and end, what is conditionally left out, and which names in an
 * expression are of the top of a file. What is hashed are our own tokens (c_tokens.h), so that
 * another libclang gives the same hash. A name is looked up where it is spelled; names that a statement
 * declares itself are its own, unless libclang says otherwise.
 *
 * One process describes and ends: memory is given back by arena only. */
#pragma once

#include "common/format/c_tokens.h"
#include "common/json.h"
#include "runners/c/arena.h"
#include "runners/c/describe/atoms.h"
#include "runners/c/describe/clang.h"
#include "runners/c/describe/flags.h"

#define DESCRIBE_FILES_MAX 5000
#define DESCRIBE_BYTES_MAX (32u << 20) /* of a closure */

struct problem {
	const char *name; /* static; NULL: none */
	char *message;
	const char *file;      /* or NULL */
	uint32_t line, column; /* from 1; 0: unknown */
};

struct warning {
	const char *name; /* static */
	const char *subject, *message, *file;
	uint32_t line, column;
};

struct token {
	uint32_t atom; /* of a word; else 0 */
	uint32_t line;
	uint32_t start, end; /* bytes of the file */
	uint32_t size;
	uint32_t directive; /* 1 + number of the # of its line; 0: it is in none */
	const char *text;   /* of a word, with a NUL behind it; of others not */
	uint8_t kind;	    /* enum c_token_kind */
	bool space_before;
};

struct text {
	const char *path; /* absolute */
	const char *data;
	size_t size;
	struct token *tokens; /* the last one is C_TOKEN_END */
	uint32_t count;
	uint32_t guard; /* the macro that only says that the file was included; or 0 */
	uint8_t digest[DIGEST_SIZE];
};

enum name_space { SPACE_ORDINARY, SPACE_TAG, SPACE_COUNT };

struct declaration {
	CXCursor cursor;
	enum CXCursorKind kind;
	uint32_t atom; /* 0: it has no name */
	enum name_space space;
	bool defines; /* body, members, initialiser; or a variable that is not extern */
	bool is_external; /* other units can name it */
	bool nested;	  /* within another declaration */
	bool torn;	  /* it ends in the file that includes this one */
	uint32_t file;	  /* of the unit's */
	uint32_t start, end;
	uint32_t statement; /* of the unit's */
	uint32_t next;	    /* 1 + number of the one before with this name; 0: none */
};

struct statement {
	uint32_t file;
	uint32_t first, last;			  /* tokens; @last is behind */
	uint32_t declarations, declaration_count; /* in the unit's order */
	bool is_effect; /* counts whoever reaches it: a constructor, asm */
	bool has_attributes;
	bool is_open; /* other declarations say more of it: int a[]; int f(x) int x; {...} */
	bool is_alias; /* an attribute names what it is in a string, or lets it be undefined */
	uint32_t order; /* where it begins (order.c); 0: in many places */
	uint32_t node;	/* 1 + number; 0: not reached */
};

struct define {		     /* or an #undef */
	uint32_t file, hash; /* the token # */
	uint32_t order;	     /* where it stands (order.c) */
	bool undoes;
	uint32_t next; /* 1 + number of the next one with this name */
};

struct macro {
	uint32_t atom;
	uint32_t first, last; /* 1 + number of defines, in the order in which they come */
	bool is_effect;	      /* the system's headers may read it */
	bool is_flag;	      /* a flag defines it, too */
	bool many;	 /* one of them stands in a file that is included many times */
	bool makes_text; /* # in it, or in a macro that it names */
	bool makes_late; /* in one that it names: of arguments whose macros are expanded */
	bool constructs; /* attributes of that kind, in the same way */
	bool pastes;	 /* ## in it */
	bool takes_rest; /* ..., in it or in a macro that it names */
	bool checked;	 /* the four above are known */
	bool in_text;	 /* it is named where arguments become a text: its blanks count */
	uint32_t node;
};

struct unit_file {
	CXFile cx;
	struct text *text; /* NULL: of the system's */
	bool *off;	   /* by token: not compiled */
	bool many;	   /* included many times */
	uint32_t parent;   /* 1 + number of the file that includes it first; 0: none */
	uint32_t at;	   /* byte in that file */
};

struct inclusion {
	uint32_t file;	     /* 1 + number */
	uint32_t parent, at; /* as in struct unit_file */
};

struct unit {
	struct describer *d;
	const char *path;
	CXTranslationUnit tu;
	struct unit_file *files; /* the first is the .c file */
	size_t file_count, file_capacity;
	struct inclusion *inclusions;
	size_t inclusion_count, inclusion_capacity;
	struct declaration *declarations;
	size_t declaration_count, declaration_capacity;
	uint32_t *names[SPACE_COUNT]; /* by atom: 1 + number of its last declaration */
	uint32_t name_count;	      /* atoms that the tables have */
	struct statement *statements;
	size_t statement_count, statement_capacity;
	struct define *defines;
	size_t define_count, define_capacity;
	struct macro *macros;
	size_t macro_count, macro_capacity;
	uint32_t *macro_of; /* by atom: 1 + number */
	uint32_t macro_atoms;
	uint32_t
		system_first; /* order of the first #include of a header of the system's; 0: none */
	uint32_t *asserts; /* order of each #include <assert.h> */
	size_t assert_count, assert_capacity;
	bool has_pragmas; /* that count for what stands behind them */

	/* of one target */
	bool is_used; /* something that counts is defined in it */
	bool effects_reached;
};

struct node {
	struct unit *unit;
	bool is_macro;
	uint32_t number; /* of the unit's statements or macros */
	uint32_t *refs;	 /* nodes, in the order of their names in it */
	size_t ref_count, ref_capacity;
	struct buf own;	  /* what it says */
	const char *kind; /* static */
	const char *name;
	const char *path; /* absolute; of where it stands */
	uint32_t line, start;
	uint32_t section; /* number */
};

/* Sections are what is left of nodes when those that stand in one place, in a header that several units
 * include, and say the same there, are one. */

struct word {
	bool said; /* it stands in a node that is reached */
	uint32_t
		unit; /* 1 + number of the active unit where it may be a name that another one defines;
			* UINT32_MAX: of several */
};

struct section {
	uint32_t node; /* the first one of it */
	const char *label;
	uint8_t digest[DIGEST_SIZE];
};

struct describer {
	struct arena arena;
	struct atoms atoms;
	const struct flags *flags; /* borrowed */
	CXIndex index;
	struct unit **units; /* all that were parsed */
	size_t unit_count, unit_capacity;
	struct text **texts;
	size_t text_count, text_capacity;
	size_t bytes; /* of all texts */
	struct problem problem;

	/* of one target */
	struct unit **active; /* the entry's first */
	size_t active_count, active_capacity;
	struct node *nodes;
	size_t node_count, node_capacity;
	struct section *sections;
	size_t section_count, section_capacity;
	struct warning *warnings;
	size_t warning_count, warning_capacity;
	struct buf canonical;
	uint8_t hash[DIGEST_SIZE];

	uint32_t *own_names; /* by atom: 1 + the node that declares it itself */
	size_t own_name_count;
	struct word *words; /* by atom: what the nodes say (later.c) */
	size_t word_count;
	/* atoms of words that mean something here */
	uint32_t a_struct, a_union, a_enum, a_attribute, a_attribute2, a_pragma, a_asm,
		a_asm2, a_asm3, a_define, a_undef, a_include, a_include_next,
		a_pragma_line;
};

void describer_init(struct describer *d, const struct flags *flags);
/** describer_fail() - the first problem counts. @name: static. Return: 1. */
int describer_fail(struct describer *d, const char *name, const char *file, uint32_t line,
		   uint32_t column, const char *format, ...) PRINTF(6, 7);
void describer_warn(struct describer *d, const char *name, const char *subject,
		    const struct text *text, const struct token *token,
		    const char *format, ...) PRINTF(6, 7);
/** describer_column() - of a token, from 1, in characters. */
uint32_t describer_column(const struct text *text, uint32_t offset);

/* ---- text.c */

/** text_get() - @data is borrowed for ever. Return: NULL if it cannot be read as C: d->problem. */
struct text *text_get(struct describer *d, const char *path, const char *data,
		      size_t size);
/** text_end() - of the line that begins with the # @hash: its C_TOKEN_LINE_END. */
uint32_t text_line_end(const struct text *t, uint32_t hash);
/** text_at() - the first token that begins at or behind @offset. */
uint32_t text_at(const struct text *t, uint32_t offset);

/* ---- unit.c */

/** unit_get() - parsed, or as it was parsed for another target. Return: NULL: d->problem. */
struct unit *unit_get(struct describer *d, const char *path);
/** unit_file_of() - 1 + number of the file; 0: unknown. */
uint32_t unit_file_of(const struct unit *u, CXFile cx);
/** unit_included() - 1 + number of the file that the #include at @offset of @file names; 0: unknown. */
uint32_t unit_included(const struct unit *u, uint32_t file, uint32_t offset);
/** unit_in_system() - is it declared by the system's headers, too? */
bool unit_in_system(const struct unit *u, CXCursor cursor);

/* ---- order.c: places of a unit in the order in which the compiler comes by */

/** order_walk() - all tokens that are compiled, from 1; those of a file that is included many times once. */
typedef int order_visit(struct unit *u, uint32_t file, uint32_t token, uint32_t order);
int order_walk(struct unit *u, order_visit *fn);
/** order_statements() - statement->order. */
void order_statements(struct unit *u);
/** order_include() - notes an #include of the system's, or of nothing known. */
void order_include(struct unit *u, uint32_t file, uint32_t hash, uint32_t order);
/** order_write() - of a node whose macros are all known: what they are where it stands, if
 * that is not what is to be expected. */
void order_write(struct describer *d, struct node *n);

/* ---- statements.c */

void statements_find(struct unit *u);
/** statements_name() - 1 + number of the last declaration of a name; 0: none. */
uint32_t statements_name(const struct unit *u, enum name_space space, uint32_t atom);

/* ---- macros.c */

/** macros_find() - #defines of the unit's texts, and other lines that count. Return: 0 or 1. */
int macros_find(struct unit *u);
/** macros_get() - NULL: no macro of the user's has this name. */
struct macro *macros_get(struct unit *u, uint32_t atom);
/** macros_check() - macro->makes_text and ->constructs. */
void macros_check(struct unit *u, struct macro *m);
/** macros_is_constructor() - does an attribute of this name make it count for everything? @in_attribute: it
 * surely is one. */
bool macros_is_constructor(const char *word, bool in_attribute);
bool macros_is_paste(const struct token *t);
/** macros_warn() - of conditions that another compiler may decide otherwise. */
void macros_warn(struct unit *u);
/** macros_body() - the token behind the parameters of a #define, whose name is @name; those are added to
 * @list (at most @max). */
uint32_t macros_body(const struct text *t, uint32_t name, uint32_t *list, size_t max,
		     size_t *countp);
/** macros_pragmas() - the lines that count for what stands at @offset of a file, each with a line end. */
void macros_pragmas(struct unit *u, uint32_t file, uint32_t offset, struct buf *out);

/* ---- node.c */

/** node_reach() - the number of the node of this macro or statement; a new one is to be looked into. */
uint32_t node_reach(struct describer *d, struct unit *u, bool is_macro, uint32_t number);

/* ---- reach.c */

/** reach() - all nodes from this function on. Return: 0 or 1: d->problem. */
int reach(struct describer *d, struct unit *u, uint32_t statement);

/** reach_refer() - @node names a macro or statement of its unit, too. */
void reach_refer(struct describer *d, uint32_t node, bool is_macro, struct unit *u,
		 uint32_t number);

/* ---- later.c: names that show when all others are known */

/** later_word() - a node says it. */
struct word *later_word(struct describer *d, uint32_t atom);
/** later_reach() - more nodes, if there are such names. */
void later_reach(struct describer *d);

/* ---- canon.c */

/** canon_statement(), canon_macro() - what it says. @fn is called for each token that is a word;
 * @previous: the token before, or NULL. */
typedef void canon_word(void *arg, const struct token *token,
			const struct token *previous);
void canon_statement(struct unit *u, const struct statement *s, struct buf *out,
		     canon_word *fn, void *arg);
void canon_macro(struct unit *u, const struct macro *m, struct buf *out, canon_word *fn,
		 void *arg);
/** canon_texts() - of macros that are in_text, with their blanks; behind all others. */
void canon_texts(struct describer *d);
/** canon_write() - d->canonical, d->sections, d->hash of the nodes; @entry: the first node's name. */
void canon_write(struct describer *d);

/* ---- answer.c */

struct target {
	const char *given;
	const char *file; /* as given */
	const char *function;
	const char *path; /* absolute */
};

/** answer_row() - of a target whose canonical form is written. */
void answer_row(struct describer *d, const struct target *t,
		const struct declaration *entry, bool canonical, struct json *j);
/** answer_error() - @t: what of it is known; file may be NULL. */
void answer_error(const struct target *t, const struct problem *p, struct json *j);
