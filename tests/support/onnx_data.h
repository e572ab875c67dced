/* ONNX's own test data, where the distribution has installed them (Debian: libonnx-testdata). */
#ifndef TESSERA_TESTS_ONNX_DATA_H
#define TESSERA_TESTS_ONNX_DATA_H

#define ONNX_DATA_PATH 512

/* The folder that holds node/, simple/ ...: $TESSERA_ONNX_DATA, else a known place; NULL: not installed. */
const char *onnx_data_folder(void);

/* Calls visit for each file below folder whose name ends with suffix, in the order of their paths. */
void onnx_data_each(const char *folder, const char *suffix,
                    void (*visit)(const char *path, void *user), void *user);

#endif
