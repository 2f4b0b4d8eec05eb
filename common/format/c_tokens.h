/* c_tokens.h - what a C (or C++) source says, without its layout: a lexer for preprocessing tokens, and
 * the digest of a whole file (scheme 3 of function.h).
 *
 * Two files have one digest when they have the same tokens: comments and white space are gone, lines
 * that end in a backslash are joined, a byte order mark is skipped. What stays: the spelling of every
 * token, strings and characters byte by byte, where a preprocessor line begins and ends, and whether the
 * "(" of a #define touches its name. Each token is hashed with its kind and length, so that no two
 * sequences are the same bytes.
 *
 * Text that cannot be a program is lexed as compilers do: a quote without an end inside of a preprocessor
 * line or between #if and #endif ("don't") is the rest of its line. Tokens of C and C++ together
 * are known ("::", "<=>", R"(raw)", 1'000): a token too many never makes two programs one.
 *
 * Pure; any thread. */
#pragma once

#include "common/pure/buf.h"

#define C_TOKENS_SIZE_MAX (8u << 20) /* bytes of one source */

enum c_token_kind {
	C_TOKEN_END,	   /* of the source; comes for ever */
	C_TOKEN_WORD,	   /* identifiers and keywords; bytes above 0x7f are letters */
	C_TOKEN_NUMBER,	   /* a preprocessing number: 1, 0x1p-3, 1'000u, .5f, 1abc */
	C_TOKEN_STRING,	   /* "...", with its prefix: L"...", u8R"x(...)x" */
	C_TOKEN_CHARACTER, /* 'x', L'x' */
	C_TOKEN_MARK,	   /* punctuators, the longest that fits */
	C_TOKEN_OTHER,	   /* a byte that begins nothing; a quote without an end */
	C_TOKEN_HASH,	   /* # at the begin of a preprocessor line */
	C_TOKEN_HEADER,	   /* <...> or "..." behind #include */
	C_TOKEN_CALL,	   /* ( that touches the name behind #define */
	C_TOKEN_LINE_END,  /* of a preprocessor line; no text */
};

struct c_token {
	enum c_token_kind kind;
	bool space_before; /* white space or a comment stands in front */
	uint32_t line;	   /* of its first byte, from 1 */
	size_t start, end; /* bytes of the source, joined lines included */
	/* Without joined lines. NOT terminated; of the source, or of the lexer until the next call. */
	const char *text;
	size_t size;
};

struct c_tokens_error {
	char what[96];	 /* no line end */
	uint32_t line;	 /* from 1; 0: of no place */
	uint32_t column; /* from 1, in characters */
};

struct c_lexer {
	const uint8_t *data;
	size_t size, at;
	uint32_t line;
	bool line_begins;   /* no token yet in this line */
	bool space;	    /* since the last token */
	uint8_t directive;  /* of c_tokens.c: how far into a preprocessor line */
	uint32_t groups;    /* #if without #endif */
	struct buf scratch; /* text of a token with joined lines */
	bool failed;	    /* sticks */
	struct c_tokens_error error;
};

/** c_lexer_init() - @data is borrowed until c_lexer_fini(). */
void c_lexer_init(struct c_lexer *l, const void *data, size_t size);
void c_lexer_fini(struct c_lexer *l);
/** c_lexer_next() - Return: 0; 1 if the source is malformed, see l->error. */
int c_lexer_next(struct c_lexer *l, struct c_token *token);
/** c_token_is() - whether its text is @text. */
bool c_token_is(const struct c_token *token, const char *text);

/**
 * c_tokens_digest() - SHA-256 of the tokens of a whole source
 * @error: filled in if this fails; may be NULL
 *
 * Return: 0; 1 if it is larger than C_TOKENS_SIZE_MAX, or holds a NUL byte, a carriage return
 *         without a line feed, or a comment or string without an end. Such a file is
 *         hashed by its bytes.
 */
int c_tokens_digest(const void *data, size_t size, uint8_t out[DIGEST_SIZE],
		    struct c_tokens_error *error);
