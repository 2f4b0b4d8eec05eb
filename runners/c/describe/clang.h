/* clang.h - libclang, opened when it is needed: serving needs none of it, and where it is missing only
 * describing fails, with a message. Names are those of clang-c/Index.h without their clang_. */
#pragma once

#include <clang-c/Index.h>

#define CLANG_FUNCTIONS(X)                                                               \
	X(createIndex)                                                                   \
	X(parseTranslationUnit2)                                                         \
	X(getTranslationUnitCursor)                                                      \
	X(visitChildren)                                                                 \
	X(getNumDiagnostics)                                                             \
	X(getDiagnostic)                                                                 \
	X(getDiagnosticSeverity)                                                         \
	X(getDiagnosticSpelling)                                                         \
	X(getDiagnosticLocation)                                                         \
	X(disposeDiagnostic)                                                             \
	X(getCString)                                                                    \
	X(disposeString)                                                                 \
	X(getClangVersion)                                                               \
	X(getInclusions)                                                                 \
	X(getFile)                                                                       \
	X(getFileName)                                                                   \
	X(getFileContents)                                                               \
	X(File_isEqual)                                                                  \
	X(getSkippedRanges)                                                              \
	X(disposeSourceRangeList)                                                        \
	X(getRangeStart)                                                                 \
	X(getRangeEnd)                                                                   \
	X(getExpansionLocation)                                                          \
	X(getLocationForOffset)                                                          \
	X(Location_isInSystemHeader)                                                     \
	X(getCursorKind)                                                                 \
	X(getCursorExtent)                                                               \
	X(getCursorLocation)                                                             \
	X(getCursorSpelling)                                                             \
	X(getCursorReferenced)                                                           \
	X(getCursorSemanticParent)                                                       \
	X(getCanonicalCursor)                                                            \
	X(getCursorLinkage)                                                              \
	X(getCursorType)                                                                 \
	X(getCanonicalType)                                                              \
	X(getTypeSpelling)                                                               \
	X(isCursorDefinition)                                                            \
	X(Cursor_getStorageClass)                                                        \
	X(Cursor_isNull)

struct clang {
#define X(name) __typeof__(clang_##name) *name;
	CLANG_FUNCTIONS(X)
#undef X
	char resources
		[4096];	 /* its folder of headers: stddef.h, ...; "" if it has none */
	char path[4096]; /* of the library */
	char version[64];
};

extern struct clang clang;

/** clang_open() - fills in @clang. Return: 0; 1 if there is no libclang. */
int clang_open(void);
