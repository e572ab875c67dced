/* Transposes of a batch of matrices with strided rows: to[b][j][i] = from[b][i][j], i < rows, j < columns.

   What a change of layout is:       batch   rows    columns    from: batch, row     to: batch, row
     NHWC -> NCHW                    N       H W     C          H W C, C             H W C, H W
     NCHW -> NHWC                    N       C       H W        H W C, H W           H W C, C
     RSCK -> KCRS (weights)          C       R S     K          K, C K               R S, C R S
     KCRS -> RSCK                    C       K       R S        R S, C R S           K, C K

   layout_tiled goes through local memory, so that reads and writes are both of neighbours:

     from, TILE x TILE    tile[i][j], a column of padding     to, TILE x TILE
       j ->                 against bank conflicts              i ->

   layout_narrow is for matrices with few rows or columns, where tiles would stay nearly empty: a work-item writes
   one element, neighbours along i.

     TILE   work-group of TILE x TILE; 8 or 16 */
#ifndef TILE
#define TILE 16
#endif
#if TILE != 8 && TILE != 16
#error TILE must be 8 or 16
#endif
#include "common.clh"

kernel void layout_tiled(global const int *from, global int *to, int rows, int columns,
                         int from_batch, int from_row, int to_batch, int to_row) {
    local int tile[TILE][TILE + 1];
    int x = get_local_id(0), y = get_local_id(1);
    int i0 = get_group_id(1) * TILE, j0 = get_group_id(0) * TILE, b = get_global_id(2);
    if (i0 + y < rows && j0 + x < columns)
        tile[y][x] = from[b * from_batch + (i0 + y) * from_row + j0 + x];
    barrier(CLK_LOCAL_MEM_FENCE);
    if (i0 + x < rows && j0 + y < columns)
        to[b * to_batch + (j0 + y) * to_row + i0 + x] = tile[x][y];
}

kernel void layout_narrow(global const int *from, global int *to, int rows, int columns,
                          int from_batch, int from_row, int to_batch, int to_row) {
    int i = get_global_id(0), j = get_global_id(1), b = get_global_id(2);
    if (i < rows)
        to[b * to_batch + j * to_row + i] = from[b * from_batch + i * from_row + j];
}
