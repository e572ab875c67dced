#include "net/onnx/onnx_wire.h"

/* Wire types: https://protobuf.dev/programming-guides/encoding/ */
enum { WIRE_VARINT = 0, WIRE_64_BIT = 1, WIRE_LENGTH = 2, WIRE_32_BIT = 5 };

/* What protobuf-c and the allocator need for one field beyond its contents: a record while a message is scanned (32 bytes, in
   slabs that double), a pointer, a block's head. */
#define FIELD_COST   96
#define MESSAGE_COST 32

struct walk {
    const uint8_t *start, *at;
    uint64_t cost; /* so far, without the contents of strings and packed fields */
    const char *path;
    tess_error *error;
};

static tess_status damaged(const struct walk *walk, const char *why) {
    return error_set(walk->error, TESS_BAD_FORMAT,
                     "%s: byte %zu: %s; it is damaged or no ONNX file: copy or export it again",
                     walk->path, (size_t)(walk->at - walk->start), why);
}

/* A base-128 number of at most max_bytes bytes. */
static bool read_varint(struct walk *walk, const uint8_t *end, int max_bytes, uint64_t *value) {
    uint64_t bits = 0;
    for (int i = 0; i < max_bytes && walk->at < end; i++) {
        uint8_t byte = *walk->at++;
        bits |= (uint64_t)(byte & 0x7F) << (7 * i);
        if (byte < 0x80) {
            *value = bits;
            return true;
        }
    }
    return false;
}

static int wire_of(ProtobufCType type) {
    switch (type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return WIRE_LENGTH;
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return WIRE_32_BIT;
    case PROTOBUF_C_TYPE_DOUBLE:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return WIRE_64_BIT;
    default:
        return WIRE_VARINT;
    }
}

/* The number that stands for field in a set of those seen: members of a oneof share one. */
static unsigned seen_index(const ProtobufCMessageDescriptor *type,
                           const ProtobufCFieldDescriptor *field) {
    unsigned i = 0;
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        while (type->fields[i].quantifier_offset != field->quantifier_offset)
            i++;
    else
        i = (unsigned)(field - type->fields);
    return i;
}

/* protobuf-c merges a nested message that comes twice; no writer does that, so that code is not reached. */
static bool given_twice(const ProtobufCMessageDescriptor *type,
                        const ProtobufCFieldDescriptor *field, uint64_t *seen) {
    bool single =
        field->label != PROTOBUF_C_LABEL_REPEATED &&
        (field->type == PROTOBUF_C_TYPE_MESSAGE || (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF));
    unsigned index = seen_index(type, field);
    if (!single || index >= 64) return false;
    uint64_t bit = (uint64_t)1 << index;
    bool twice = (*seen & bit) != 0;
    *seen |= bit;
    return twice;
}

static tess_status check_field(const struct walk *walk, const ProtobufCMessageDescriptor *type,
                               const ProtobufCFieldDescriptor *field, int wire, uint64_t *seen) {
    bool packed = field->label == PROTOBUF_C_LABEL_REPEATED && wire == WIRE_LENGTH;
    if (wire != wire_of(field->type) && !packed)
        return damaged(walk, "a field has another type than ONNX gives it");
    if (given_twice(type, field, seen))
        return damaged(walk, "a part that a message may have once comes twice");
    return TESS_OK;
}

static tess_status walk_message(struct walk *walk, const ProtobufCMessageDescriptor *type,
                                const uint8_t *end, int depth);

/* What follows a tag whose wire type is length: skipped, or, a message, walked. field NULL: unknown. */
static tess_status walk_length(struct walk *walk, const ProtobufCFieldDescriptor *field,
                               const uint8_t *end, int depth) {
    uint64_t length = 0;
    if (!read_varint(walk, end, 5, &length)) return damaged(walk, "a length is cut short");
    if (length > (uint64_t)(end - walk->at)) return damaged(walk, "a length leads beyond the end");
    if (!field || field->type != PROTOBUF_C_TYPE_MESSAGE) {
        walk->at += length;
        return TESS_OK;
    }
    return walk_message(walk, field->descriptor, walk->at + length, depth + 1);
}

static tess_status walk_value(struct walk *walk, int wire, const ProtobufCFieldDescriptor *field,
                              const uint8_t *end, int depth) {
    uint64_t ignored = 0;
    ptrdiff_t size = wire == WIRE_64_BIT ? 8 : 4;
    switch (wire) {
    case WIRE_VARINT:
        return read_varint(walk, end, 10, &ignored) ? TESS_OK
                                                    : damaged(walk, "a number is cut short");
    case WIRE_64_BIT:
    case WIRE_32_BIT:
        if (end - walk->at < size) return damaged(walk, "a number is cut short");
        walk->at += size;
        return TESS_OK;
    case WIRE_LENGTH:
        return walk_length(walk, field, end, depth);
    default:
        return damaged(walk, "a field is of no known wire type");
    }
}

static tess_status walk_message(struct walk *walk, const ProtobufCMessageDescriptor *type,
                                const uint8_t *end, int depth) {
    if (depth > ONNX_MAX_NESTING)
        return error_set(walk->error, TESS_BAD_FORMAT,
                         "%s: byte %zu: messages are nested more than %d deep; it is damaged, or "
                         "its subgraphs must be made flat",
                         walk->path, (size_t)(walk->at - walk->start), ONNX_MAX_NESTING);
    uint64_t seen = 0;
    walk->cost += MESSAGE_COST + type->sizeof_message;
    while (walk->at < end) {
        uint64_t tag = 0;
        if (!read_varint(walk, end, 5, &tag) || tag >> 32 || !(tag >> 3))
            return damaged(walk, "a field has no valid number");
        int wire = (int)(tag & 7);
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(type, (unsigned)(tag >> 3));
        tess_status status = field ? check_field(walk, type, field, wire, &seen) : TESS_OK;
        walk->cost += FIELD_COST;
        if (walk->cost > ONNX_MAX_STRUCTURE)
            return error_set(walk->error, TESS_UNSUPPORTED,
                             "%s: needs over %llu MiB of memory without its weights; it is "
                             "damaged, or far beyond the models that are meant",
                             walk->path, (unsigned long long)(ONNX_MAX_STRUCTURE >> 20));
        if (!status) status = walk_value(walk, wire, field, end, depth);
        if (status) return status;
    }
    return TESS_OK;
}

tess_status onnx_wire_check(const ProtobufCMessageDescriptor *type, const uint8_t *data,
                            size_t size, const char *path, tess_error *error) {
    struct walk walk = {.start = data, .at = data, .path = path, .error = error};
    return size ? walk_message(&walk, type, data + size, 0) : TESS_OK;
}

tess_status onnx_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t size,
                        const char *path, tess_error *error, ProtobufCMessage **out) {
    tess_status status = onnx_wire_check(type, data, size, path, error);
    if (status) return status;
    ProtobufCMessage *message = protobuf_c_message_unpack(type, NULL, size, data);
    if (!message)
        return error_set(error, TESS_BAD_FORMAT,
                         "%s: protobuf-c cannot unpack it; it is damaged, or there is not enough "
                         "memory: copy or export it again",
                         path);
    *out = message;
    return TESS_OK;
}
