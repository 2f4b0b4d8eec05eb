/* What counts in a C file, and what does not. */
#include "common/format/c_tokens.h"
#include "common/pure/hex.h"

#include <criterion/criterion.h>
#include <string.h>

/* The tokens in a row, "|" between them; kinds that are not seen by their text have a letter. */
static const char *tokens(const char *text)
{
	static struct buf out;
	static const char letters[] = {[C_TOKEN_OTHER] = '?',
				       [C_TOKEN_HASH] = 'd',
				       [C_TOKEN_HEADER] = 'h',
				       [C_TOKEN_CALL] = 'c',
				       [C_TOKEN_LINE_END] = 'n'};
	struct c_lexer l;
	struct c_token t;
	buf_reset(&out);
	c_lexer_init(&l, text, strlen(text));
	while (!c_lexer_next(&l, &t) && t.kind != C_TOKEN_END) {
		if (out.size)
			buf_add_byte(&out, '|');
		if (t.kind < ARRAY_LEN(letters) && letters[t.kind])
			buf_printf(&out, "%c:", letters[t.kind]);
		buf_add(&out, t.text, t.size);
	}
	if (l.failed) {
		buf_reset(&out);
		buf_printf(&out, "%u:%u: %s", l.error.line, l.error.column, l.error.what);
	}
	c_lexer_fini(&l);
	return buf_cstr(&out);
}

static void digest(const char *text, size_t size, uint8_t out[DIGEST_SIZE])
{
	struct c_tokens_error error;
	cr_assert_eq(c_tokens_digest(text, size, out, &error), 0, "%s: %s", text,
		     error.what);
}

static bool same(const char *a, const char *b)
{
	uint8_t first[DIGEST_SIZE], second[DIGEST_SIZE];
	digest(a, strlen(a), first);
	digest(b, strlen(b), second);
	return !memcmp(first, second, DIGEST_SIZE);
}

Test(c_tokens, comments_and_layout_do_not_count)
{
	static const char *const pairs[][2] = {
		{"int a;", "/* x */ int\n\ta ; // y\n"},
		{"int a;", "\xef\xbb\xbfint a;\r\n"},
		{"int a;", "in\\\nt\\  \r\n a;"},
		{"f(a,b)", "f ( a , b )"},
		{"a/**/b", "a b"},
		{"#define A 1\nb", "  #  define/* x\n y */A \\\n 1 // z\n\n\nb"},
		{"#if 0\ndon't\n#endif\n", "#if 0\n\tdon't\n#endif"},
		{"a+ ++b", "a + ++ b"},
		{"\"a\" /* \" */ \"b\"", "\"a\"\n\"b\""},
		{"a // \\\n b\nc", "a c"},
		{"", "// nothing"},
	};
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		cr_expect(same(pairs[i][0], pairs[i][1]), "%s / %s", pairs[i][0],
			  pairs[i][1]);
}

Test(c_tokens, what_a_compiler_tells_apart_counts)
{
	static const char *const pairs[][2] = {
		{"a b", "ab"},
		{"a + +b", "a ++b"},
		{"a - - b", "a -- b"},
		{"x = = y", "x == y"},
		{"\"a b\"", "\"a  b\""},
		{"\"a\" \"b\"", "\"ab\""},
		{"\"\\n\"", "\"n\""},
		{"\"/* x */\"", "\"\""},
		{"'a'", "\"a\""},
		{"L\"a\"", "L \"a\""},
		{"1.0", "1."},
		{"0x1e+1", "0x1e + 1"},
		{"#define f(x) x", "#define f (x) x"},
		{"#define f(x) x", "#define f/**/(x) x"},
		{"#define A b", "#define A\nb"},
		{"#undef A\n", "# undef\nA"},
		{"a #b", "a\n#b"},
		{"#include <a//b>\n", "#include <a\n"},
		{"#include <a.h>", "#include \"a.h\""},
		{"R\"(a\\\nb)\"", "R\"(ab)\""},
		{"R\"(a/*b*/)\"", "R\"(a)\""},
		{"1'000", "1 '000'"},
		{"x.y", "x . *y"},
		{"a", "A"},
		{"\xc3\xa9", "\xc3\xa8"},
		{"", ";"},
	};
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		cr_expect(!same(pairs[i][0], pairs[i][1]), "%s / %s", pairs[i][0],
			  pairs[i][1]);
}

Test(c_tokens, tokens_are_those_of_the_standard)
{
	static const char *const rows[][2] = {
		{"a+++++b", "a|++|++|+|b"},
		{"x->y...z<<=1>>2", "x|->|y|...|z|<<=|1|>>|2"},
		{".5e+3f 1.2.3 0x.8p-2 5..6", ".5e+3f|1.2.3|0x.8p-2|5..6"},
		{"u8\"a\\\"b\" L'\\'' U\"\" ru\"x\"",
		 "u8\"a\\\"b\"|L'\\''|U\"\"|ru|\"x\""},
		{"u8R\"x(a)\" )x\" b", "u8R\"x(a)\" )x\"|b"},
		{"R\"not raw\" R'x'", "R|\"not raw\"|R|'x'"},
		{"#include <sys//x.h> // c\n#include \"a\\\"\n",
		 "d:#|include|h:<sys//x.h>|n:|d:#|include|h:\"a\\\"|n:"},
		{"%:define A(\n<:%>", "d:%:|define|A|c:(|n:|<:|%>"},
		{"#define A B(C)\n#", "d:#|define|A|B|(|C|)|n:|d:#|n:"},
		{"x /*\n*/ # y", "x|#|y"},
		{"#error don't\nx", "d:#|error|don|?:'t|n:|x"},
		{"\\ @ `", "?:\\|?:@|?:`"},
		{"a\\\n", "a"},
		{"ab\\\ncd\\\n+\\\n+", "abcd|++"},
		{"R\"(\\\n)\"\\\nx", "R\"(\\\n)\"|x"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		cr_expect_str_eq(tokens(rows[i][0]), rows[i][1], "%s: %s", rows[i][0],
				 tokens(rows[i][0]));
}

Test(c_tokens, what_is_no_source_has_a_place_and_a_reason)
{
	static const char *const rows[][2] = {
		{"int a;\n  /* x\n", "2:3: a comment has no end"},
		{"a /*/", "1:3: a comment has no end"},
		{"\xc3\xa9 = \"a\nb\"", "1:5: a string has no end in its line"},
		{"'a", "1:1: a character has no end in its line"},
		{"#define X 1\nL\"a\\", "2:1: a string has no end in its line"},
		{"x = R\"(a\n)", "1:5: a raw string has no end"},
		{"a\rb", "1:2: there is a carriage return without a line feed"},
		{"#if 1\n#endif\n'", "3:1: a character has no end in its line"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		cr_expect_str_eq(tokens(rows[i][0]), rows[i][1], "%s: %s", rows[i][0],
				 tokens(rows[i][0]));
}

Test(c_tokens, nul_bytes_and_large_files_are_refused)
{
	uint8_t out[DIGEST_SIZE];
	struct c_tokens_error error;
	cr_assert_eq(c_tokens_digest("a\n/* \0 */", 9, out, &error), 1);
	cr_assert_eq(error.line, 2);
	cr_assert_eq(error.column, 4);
	cr_assert_str_eq(error.what, "there is a NUL byte");
	static char large[C_TOKENS_SIZE_MAX + 1];
	memset(large, ' ', sizeof large);
	cr_assert_eq(c_tokens_digest(large, sizeof large, out, NULL), 1);
	cr_assert_eq(c_tokens_digest(large, sizeof large - 1, out, NULL), 0);
}

Test(c_tokens, the_digest_of_a_file_stays)
{
	static const char text[] =
		"#include <stdio.h>\n#define SQUARE(x) ((x) * (x))\n"
		"int main(void)\n{\n\treturn printf(\"%d\\n\", SQUARE(3)) < 0;\n}\n";
	uint8_t out[DIGEST_SIZE];
	char hex[HEX_DIGEST_SIZE];
	digest(text, strlen(text), out);
	cr_assert_str_eq(
		hex_encode(hex, out, DIGEST_SIZE),
		"7f8852189562f47a6519fae9cb250694bcb94dcbe0d109ee83c228a35f1c3376");
}

Test(c_tokens, places_are_those_of_the_source)
{
	static const char text[] = "a\n /* \n */ b\\\nc \"d\"";
	struct c_lexer l;
	struct c_token t;
	c_lexer_init(&l, text, strlen(text));
	c_lexer_next(&l, &t);
	cr_expect(t.line == 1 && t.start == 0 && t.end == 1 && !t.space_before);
	c_lexer_next(&l, &t);
	cr_expect(t.line == 3 && t.start == 11 && t.end == 15 && t.space_before);
	c_lexer_next(&l, &t);
	cr_expect(t.line == 4 && t.start == 16 && t.end == 19 && t.space_before);
	c_lexer_fini(&l);
}
