"""The problem table: every test, validation and benchmark walks these rows.

A row is: tags, name, line (convkit.testing.lines). Tags: core (the usual geometries, small),
edge (odd ones, small), long (sums so long that equal terms show how they are made), layer (of real
networks), network (more of them, which only benchmarks walk: convkit.testing.networks), huge (past
2**31 elements). Core, edge and long rows also run in the thread-by-thread simulator, so they stay
near a million operations.
"""

from . import networks
from .lines import Problem
from .parsing import parse

_CONV2D = """
core first                n1c3h20w20-k16r5s5-st1-pd0
core first_tail           n1c3h13w11-k13r5s5-st1-pd2
core first_strided        n1c3h35w35-k12r7s7-st4-pd0
core first_alexnet        n1c3h31w31-k8r11s11-st4-pd0
core lenet_c1             n1c1h28w28-k6r5s5-st1-pd2-bias-tanh
core lenet_c3             n1c6h14w14-k16r5s5-st1-pd0
core lenet_c5             n2c16h5w5-k20r5s5-st1-pd0-bias
core 1x1                  n1c32h8w8-k32r1s1-st1-pd0
core 1x1_tail             n2c19h7w5-k21r1s1-st1-pd0
core 1x1_strided          n1c16h9w9-k24r1s1-st2-pd0
core 1x1_epilogue         n2c8h5w5-k12r1s1-st1-pd0-bias-residual-relu
core 3x3                  n1c16h10w10-k32r3s3-st1-pd1
core 3x3_tail             n2c13h7w9-k17r3s3-st1-pd1
core 3x3_strided          n1c16h11w11-k16r3s3-st2-pd1
core 3x3_epilogue         n2c8h6w6-k10r3s3-st1-pd1-bias-residual-relu
core 3x3_sigmoid          n1c5h6w7-k9r3s3-st1-pd1-sigmoid
core under_padding        n1c4h5w5-k8r3s3-st1-pd3
core under_padding_tail   n1c3h4w5-k7r3s3-st1-pd4
core under_padding_strided n1c4h6w5-k8r3s3-st2-pd3
core grouped              n1c16h8w8-k16r3s3-st1-pd1-g4
core grouped_tail         n1c15h7w7-k21r3s3-st1-pd1-g3
core grouped_strided      n2c8h9w9-k12r5s5-st2-pd2-g2
core grouped_1x1          n1c12h6w6-k18r1s1-st1-pd0-g3-bias
core depthwise            n1c16h9w9-k16r3s3-st1-pd1-g16
core depthwise_tail       n2c7h8w7-k7r3s3-st1-pd1-g7-bias-relu
core depthwise_strided    n1c12h11w10-k12r3s3-st2-pd1-g12
core depthwise_twice      n1c6h6w6-k12r3s3-st1-pd1-g6
core depthwise_5x5        n1c9h8w8-k9r5s5-st1-pd2-g9
edge single               n1c1h1w1-k1r1s1-st1-pd0
edge pixel_3x3            n1c3h1w1-k4r3s3-st1-pd1
edge empty_batch          n0c3h5w5-k4r3s3-st1-pd1-bias
edge kernel_over_image    n1c2h2w3-k3r5s5-st1-pd2
edge full_over_image      n1c2h3w2-k3r7s5-st1-full
edge prime                n1c7h13w11-k5r3s5-st1-pd1x2
edge prime_strided        n3c5h11w7-k7r3s2-st2x3-pd1x0
edge asymmetric           n1c3h7w8-k4r3s3-st2-pt0pb2pl3pr1
edge asymmetric_corner    n2c4h6w5-k5r2s3-st1-pt2pb0pl0pr2
edge same_odd             n1c3h7w9-k4r3s3-st1-same
edge same_even            n1c3h8w7-k4r4s2-st1-same
edge same_strided         n1c3h8w7-k4r3s3-st2-same
edge same_wide_stride     n1c2h10w9-k3r2s2-st3-same
edge same_dilated         n1c2h9w8-k3r3s2-st1-same-dl2x3
edge valid                n1c3h6w7-k4r3s2-st1-valid
edge full_odd             n1c3h5w5-k4r3s3-st1-full
edge full_even_strided    n1c3h6w4-k4r2s4-st2-full
edge dilated              n1c4h9w9-k6r3s3-st1-pd2-dl2
edge dilated_strided      n1c3h12w13-k5r3s3-st2-pd1-dl3x2
edge dilated_grouped      n1c6h9w8-k6r3s2-st1-pd0-dl2-g2
edge dilated_stride_2     n1c3h11w11-k4r3s3-st2-pd2-dl2
edge stride_over_kernel   n1c3h11w10-k4r2s2-st3-pd0
edge stride_over_1x1      n2c5h10w7-k6r1s1-st3x4-pd0
edge stride_leaves_rest   n1c2h8w9-k3r3s3-st4-pd0
edge 1x1_padded           n1c5h4w4-k6r1s1-st1-pd1
edge 1x1_asymmetric       n1c3h5w4-k4r1s1-st2-pt1pb0pl0pr2
core reflect              n2c5h8w7-k6r3s3-st1-pd1-reflect-bias-relu
core replicate            n1c6h7w9-k9r5s5-st1-pd2-replicate
core circular             n2c4h6w8-k7r3s5-st1-pd1x2-circular
edge reflect_strided      n1c3h9w8-k4r3s3-st2-pd2-reflect
edge reflect_asymmetric   n2c3h5w7-k4r3s4-st2x1-pt3pb0pl1pr6-reflect
edge reflect_dilated      n1c4h9w9-k6r3s3-st1-same-dl2-reflect-g2
edge reflect_two_pixels   n3c2h2w2-k3r3s3-st1-pd1-reflect
edge reflect_unpadded     n1c3h5w4-k2r3s3-st1-pd0-reflect
edge replicate_pixel      n2c3h1w1-k4r3s3-st1-pd1-replicate
edge replicate_wide       n1c2h3w2-k3r3s3-st2x1-pt9pb4pl0pr7-replicate
edge replicate_depthwise  n1c7h8w7-k7r3s3-st1-pd1-replicate-g7
edge replicate_dilated    n1c3h4w5-k3r3s2-st2x3-pd4x3-dl3x2-replicate-flip
edge circular_strided     n1c5h7w6-k4r3s3-st3x2-pd2-circular
edge circular_whole       n1c3h3w4-k4r4s5-st1-pd3x4-circular
edge circular_same        n2c3h5w6-k4r2s4-st1-same-circular-flip
edge circular_empty_batch n0c3h5w5-k4r3s3-st1-pd1-circular-bias
edge circular_grouped     n1c8h6w5-k12r3s3-st1-pd1-circular-g4-residual
edge circular_row         n1c2h1w300-k3r1s5-st1-pd0x2-circular
long replicate_long       n1c1h40w40-k1r9s9-st1-pd40-replicate
edge flip                 n1c3h6w7-k4r3s3-st1-pd1-flip
edge flip_even            n1c2h7w6-k5r2s4-st2-pt1pb0pl2pr1-flip
edge flip_grouped         n1c4h5w5-k6r3s2-st1-pd0-g2-flip-bias
edge flip_depthwise       n1c5h6w6-k5r3s3-st1-pd1-g5-flip
edge one_filter           n1c9h9w8-k1r3s3-st1-pd1
edge edge_filter          n1c1h24w40-k1r3s3-st1-pd0
edge one_channel          n2c1h9w9-k19r3s3-st1-pd1
edge filters_63           n1c3h4w5-k63r3s3-st1-pd1
edge filters_65           n1c4h5w4-k65r2s2-st1-pd0
edge filters_129          n1c3h4w4-k129r3s3-st1-pd1-bias
edge gemm_k_1             n2c1h6w6-k5r1s1-st1-pd0
edge gemm_k_257           n1c257h4w3-k9r1s1-st1-pd0
edge gemm_k_270           n1c30h5w5-k6r3s3-st1-pd1
edge gemm_k_300           n2c300h3w3-k5r1s1-st1-pd0
edge gemm_k_522           n1c58h4w4-k7r3s3-st1-pd1
edge many_filters_deep    n1c4h4w4-k260r1s1-st1-pd0
edge places_over_256      n3c2h13w11-k3r3s3-st1-pd1
edge many_tiles           n1c20h15w17-k70r3s3-st1-pd1
edge row_kernel           n1c3h7w9-k4r1s3-st1-pd0x1
edge column_kernel        n1c3h9w7-k4r3s1-st2x1-pd1x0
edge wide                 n1c2h1w300-k3r1s5-st1-pd0
edge tall                 n1c2h270w1-k2r5s1-st2x1-pd2x0
edge wide_3x3             n1c1h3w517-k2r3s3-st1-pd1
edge many_images          n37c2h3w3-k3r3s3-st1-pd1
edge first_many_images    n20c3h8w9-k16r5s5-st1-pd0
edge many_pixels          n131c3h1w1-k5r1s1-st1-pd0-bias-relu
edge long_channels        n1c20000h1w1-k3r1s1-st1-pd0
edge long_filters         n1c3h1w1-k20000r1s1-st1-pd0
edge long_places          n1c1h180w190-k2r1s1-st1-pd0
edge long_batch           n300c2h4w4-k3r3s3-st1-pd1
edge long_aligned         n1c4h70w70-k4r3s3-st1-pd1
edge long_3x3             n1c2300h3w3-k2r3s3-st1-pd0
long longer_3x3           n1c8000h3w3-k1r3s3-st1-pd0
long longer_places        n1c1h330w310-k1r3s3-st1-pd1
long long_row_kernel      n1c1h1w1300-k1r1s600-st1-pd0
layer lenet.c1_28         n1c1h28w28-k6r5s5-st1-pd2-bias
layer lenet.c3            n1c6h14w14-k16r5s5-st1-pd0-bias
layer lenet.c5            n1c16h5w5-k120r5s5-st1-pd0-bias
layer edge.1024           n1c1h1024w1024-k1r3s3-st1-pd1
layer alexnet.c1          n1c3h227w227-k96r11s11-st4-pd0-bias-relu
layer alexnet1t.c1        n1c3h224w224-k64r11s11-st4-pd2-bias-relu
layer vgg16.1_1           n1c3h224w224-k64r3s3-st1-pd1-bias-relu
layer resnet50.stem7x7    n1c3h224w224-k64r7s7-st2-pd3
layer mobilenet.dw32_112  n1c32h112w112-k32r3s3-st1-pd1-g32
layer mobilenet.dw64_112s2 n1c64h112w112-k64r3s3-st2-pd1-g64
layer mobilenet.dw512_14  n1c512h14w14-k512r3s3-st1-pd1-g512
layer alexnet.c2_g2       n1c96h27w27-k256r5s5-st1-pd2-g2-bias-relu
layer googlenet.3a_5x5    n1c16h28w28-k32r5s5-st1-pd2-bias-relu
layer alexnet.c3          n1c256h13w13-k384r3s3-st1-pd1-bias-relu
layer alexnet.c4_g2       n1c384h13w13-k384r3s3-st1-pd1-g2-bias-relu
layer vgg16.3_2           n1c256h56w56-k256r3s3-st1-pd1-bias-relu
layer vgg16.5_x           n1c512h14w14-k512r3s3-st1-pd1-bias-relu
layer resnet50.3b_3x3     n1c128h28w28-k128r3s3-st1-pd1
layer resnet50.5b_3x3     n1c512h7w7-k512r3s3-st1-pd1
layer resnet50.3b_3x3s2   n1c128h56w56-k128r3s3-st2-pd1
layer resnet50.3a_256-128s2 n1c256h56w56-k128r1s1-st2-pd0
layer resnet50.2a_64-64   n1c64h56w56-k64r1s1-st1-pd0
layer resnet50.2c_64-256  n1c64h56w56-k256r1s1-st1-pd0
layer resnet50.5c_512-2048 n1c512h7w7-k2048r1s1-st1-pd0
layer resnet50.5a_2048-512 n1c2048h7w7-k512r1s1-st1-pd0
layer lenet.c1_batch      n600c1h28w28-k6r5s5-st1-pd2-bias-residual
huge pixels               n1c1h46341w46341-k1r3s3-st1-pd1
huge images               n33554433c64h1w1-k1r1s1-st1-pd0
"""

_POOL2D = """
core max_2x2              max-n1c6h14w14-r2s2-st2-pd0
core max_2x2_tail         max-n2c7h9w11-r2s2-st2-pd0
core max_3x3_strided      max-n1c8h15w15-r3s3-st2-pd0
core max_stem             max-n1c8h14w14-r3s3-st2-pd1
core max_overlap          max-n1c5h9w10-r3s3-st1-pd1
core max_ceil             max-n1c4h14w12-r3s3-st2-pd0-ceil
core avg_2x2              avg-n1c6h14w14-r2s2-st2-pd0
core avg_2x2_tail         avg-n2c7h9w11-r2s2-st2-pd0
core avg_3x3              avg-n1c5h9w10-r3s3-st1-pd1
core avg_3x3_strided      avg-n2c6h11w12-r3s3-st2-pd1-realpixels
core avg_ceil             avg-n1c4h14w12-r3s3-st2-pd1-ceil
core avg_global           avg-n2c19h7w7-r7s7-st1-pd0
edge narrow_same          max-n1c7h12w2-r3s3-st1-pd1
edge column_same          max-n2c3h9w1-r3s3-st1-pd1
edge max_pixel            max-n1c1h1w1-r1s1-st1-pd0
edge max_empty_batch      max-n0c3h4w4-r2s2-st2-pd0
edge max_prime            max-n1c3h13w11-r5s3-st3x2-pd2x1
edge max_asymmetric       max-n2c3h7w8-r3s3-st2-pt0pb2pl2pr0
edge max_dilated          max-n1c3h10w11-r3s2-st1-pd2x1-dl2
edge max_dilated_strided  max-n1c4h12w11-r2s3-st3x2-pd1x2-dl3x2
edge max_meets_no_pixel   max-n1c2h1w2-r2s2-st1-pd1-dl2
edge max_stride_over      max-n1c3h11w10-r2s2-st3-pd0
edge max_ceil_padded      max-n1c2h5w6-r2s2-st2-pd1-ceil
edge max_ceil_over_image  max-n1c2h2w3-r3s3-st2x3-pd0-ceil
edge max_full_window      max-n3c5h6w5-r6s5-st1-pd0
edge max_wide             max-n1c2h1w301-r1s3-st1x2-pd0x1
edge max_tall             max-n1c1h270w2-r4s1-st3x1-pd0
long max_shared           max-n1c1h64w64-r32s32-st1-pd0
edge max_shared_tall      max-n1c1h160w9-r70s4-st1-pd0
edge max_shared_dilated   max-n1c1h60w31-r24s12-st1-pd0-dl2
edge max_many_channels    max-n1c130h4w4-r2s2-st2-pd0
edge max_many_images      max-n37c3h3w3-r2s2-st1-pd1
edge avg_pixel            avg-n1c1h1w1-r1s1-st1-pd0
edge avg_empty_batch      avg-n0c3h4w4-r2s2-st2-pd0
edge avg_prime            avg-n1c3h13w11-r5s3-st3x2-pd2x1
edge avg_asymmetric       avg-n2c3h7w8-r3s3-st2-pt0pb2pl2pr0
edge avg_asymmetric_real  avg-n2c3h7w8-r3s3-st2-pt2pb1pl0pr2-realpixels
edge avg_stride_over      avg-n1c3h11w10-r2s2-st3-pd0
edge avg_ceil_padded      avg-n1c2h5w6-r2s2-st2-pd1-ceil
edge avg_ceil_real        avg-n1c3h8w10-r3s4-st3-pd1-ceil-realpixels
edge avg_ceil_over_image  avg-n1c2h2w3-r3s3-st2x3-pd0-ceil
edge avg_wide             avg-n1c2h1w301-r1s3-st1x2-pd0x1
edge avg_over_256         avg-n2c2h17w18-r17s18-st1-pd0
edge avg_many_channels    avg-n1c130h4w4-r2s2-st2-pd0
edge avg_long             avg-n1c2h150w151-r150s151-st1-pd0
long avg_long_row         avg-n1c1h2w6000-r1s6000-st1-pd0
long avg_many_windows     avg-n1c1h40w40-r20s20-st1-pd0
layer lenet.s2            avg-n1c6h28w28-r2s2-st2-pd0
layer alexnet.pool1       max-n1c96h55w55-r3s3-st2-pd0
layer alexnet.pool2       max-n1c256h27w27-r3s3-st2-pd0
layer vgg16.pool1         max-n1c64h224w224-r2s2-st2-pd0
layer vgg19.avg_pool1     avg-n1c64h224w224-r2s2-st2-pd0
layer resnet50.stem       max-n1c64h112w112-r3s3-st2-pd1
layer googlenet.pool3     max-n1c480h28w28-r3s3-st2-pd0-ceil
layer googlenet.3a_pool   max-n1c192h28w28-r3s3-st1-pd1
layer googlenet.avg       avg-n1c1024h7w7-r7s7-st1-pd0
layer resnet50.avg        avg-n1c2048h7w7-r7s7-st1-pd0
huge pixels               max-n1c1h46342w46342-r2s2-st2-pd0
"""

_ADAPTIVE_POOL2D = """
core max_13_to_6          max-n1c8h13w13-p6q6
core max_halves           max-n2c7h14w12-p7q6
core max_tail             max-n2c5h20w17-p6q5
core max_global           max-n2c9h7w7-global
core avg_13_to_6          avg-n1c8h13w13-p6q6
core avg_halves           avg-n2c7h14w12-p7q6
core avg_tail             avg-n2c5h20w17-p6q5
core avg_global           avg-n2c19h7w7-global
edge max_pixel            max-n1c1h1w1-p1q1
edge max_one_window       max-n3c5h6w9-p1q1
edge max_empty_batch      max-n0c3h5w4-p2q3
edge max_same             max-n1c3h7w7-p7q7
edge max_enlarged         max-n1c3h4w5-p7q11
edge max_mixed            max-n2c3h9w4-p2q6
edge max_one_row          max-n1c3h1w37-p1q8
edge max_one_column       max-n1c2h41w1-p6q1
edge max_wide             max-n1c2h5w67-p2q9
edge max_many_channels    max-n1c130h5w4-p3q3
edge max_many_windows     max-n1c2h2w2-p19q21
edge avg_pixel            avg-n1c1h1w1-p1q1
edge avg_one_window       avg-n3c5h6w9-p1q1
edge avg_empty_batch      avg-n0c3h5w4-p2q3
edge avg_same             avg-n1c3h7w7-p7q7
edge avg_enlarged         avg-n1c3h4w5-p7q11
edge avg_mixed            avg-n2c3h9w4-p2q6
edge avg_one_row          avg-n1c3h1w37-p1q8
edge avg_one_column       avg-n1c2h41w1-p6q1
edge avg_wide             avg-n1c2h5w267-p2q5
edge avg_many_channels    avg-n1c130h5w4-p3q3
edge avg_many_windows     avg-n1c2h2w2-p19q21
edge avg_long             avg-n1c2h101w103-p2q3
long avg_long_row         avg-n1c1h2w6001-p1q2
long avg_long_windows     avg-n1c1h3w2-p40q90
long max_long_windows     max-n1c1h1w2-p40q90
layer alexnet.avg         avg-n1c256h13w13-p6q6
layer vgg16.avg           avg-n1c512h7w7-p7q7
layer vgg16.avg_224       avg-n1c512h14w14-p7q7
layer googlenet.aux       avg-n1c512h14w14-p4q4
layer resnet50.global     avg-n1c2048h7w7-global
layer spp.max             max-n1c256h13w13-p4q4
"""

_CONV_TRANSPOSE2D = """
core 2x2_strided          n1c16h6w6-k8r2s2-st2-pd0
core 3x3                  n2c8h7w6-k10r3s3-st1-pd1
core 3x3_strided          n1c12h5w6-k7r3s3-st2-pd1-op1
core 4x4_strided          n1c8h5w5-k6r4s4-st2-pd1
core 5x5_strided          n1c5h4w5-k3r5s5-st3-pd2-op2x1
core 1x1                  n2c9h5w4-k11r1s1-st1-pd0
core grouped              n1c12h5w5-k8r3s3-st2-pd1-op1-g4
core depthwise            n1c8h6w5-k8r4s4-st2-pd1-g8
core epilogue             n2c9h5w4-k7r3s3-st2-pd1-bias-residual-relu
core epilogue_tanh        n1c8h4w5-k16r4s4-st2-pd1-bias-tanh
core grouped_epilogue     n2c6h4w5-k9r3s3-st2-pd1-op1-g3-bias-sigmoid
edge single               n1c1h1w1-k1r1s1-st1-pd0
edge single_epilogue      n1c1h1w1-k1r1s1-st1-pd0-bias-residual-sigmoid
edge residual             n3c5h3w3-k6r2s2-st2-pd0-residual
edge bias_of_17           n1c2h5w3-k17r2s1-st2x1-pd0-bias
edge empty_batch          n0c3h5w4-k2r3s3-st2-pd1
edge empty_epilogue       n0c3h5w4-k2r3s3-st2-pd1-bias-residual-relu
edge pixel                n1c3h1w1-k4r4s4-st1-pd0
edge asymmetric           n1c3h5w6-k4r3s4-st2x3-pt0pb1pl2pr0
edge dilated              n1c4h5w4-k3r3s2-st1-pd1-dl2x3
edge wide_output_padding  n1c3h4w5-k4r2s3-st1-pd0-dl3-op2
edge wide_output_strided  n1c3h4w3-k4r3s3-st2-pd1-dl5x4-op4x3
edge stride_over_kernel   n1c3h4w5-k4r2s2-st3-pd0-op2
edge 1x1_output_padding   n2c3h4w3-k5r1s1-st1-pd0-dl3-op2x1
edge flip                 n1c3h5w4-k4r3s3-st2-pd1-flip
edge all_but_one_cut      n1c2h2w2-k3r3s3-st1-pd1
edge long_channels        n1c9000h1w1-k2r1s1-st1-pd0
layer dcgan.2             n1c512h8w8-k256r4s4-st2-pd1
layer dcgan.4             n1c128h32w32-k3r4s4-st2-pd1-bias-tanh
layer fcn.up32            n1c21h7w7-k21r4s4-st2-pd1-g21
"""

_LINEAR = """
core small                n4c10-k7
core epilogue             n3c33-k17-bias-residual-relu
core tanh                 n5c16-k16-bias-tanh
core tile                 n64c48-k64
core tail                 n37c70-k65-bias
edge single               n1c1-k1
edge no_rows              n0c5-k3-bias
edge one_row              n1c300-k130-bias-sigmoid
edge one_output           n9c257-k1
edge one_feature          n9c1-k33-relu
edge rows_5               n5c129-k67
edge over_segment         n2c2300-k9
edge long_features        n2c70000-k3
edge long_outputs         n1c3-k9000
edge long_rows            n9000c2-k3
layer lenet.f6            n1c120-k84-bias-tanh
layer lenet.batch         n128c400-k120-bias
layer alexnet.f6          n1c9216-k4096-bias-relu
layer alexnet.f8          n16c4096-k1000-bias
layer resnet50.fc         n1c2048-k1000-bias
"""

_GRAM = """
core small                n1c8h6w6
core 16                   n2c16h8w8
core tail                 n1c19h7w5
core normalized           n2c12h5w7-norm
core tile                 n1c64h6w6
edge single               n1c1h1w1
edge empty_batch          n0c3h4w4
edge over_32              n1c33h5w5
edge over_64              n1c65h5w4-norm
edge over_128             n1c130h2w3
edge one_channel          n3c1h9w7
edge one_pixel            n2c37h1w1
edge pixels_257           n1c5h1w257
edge pixels_300           n1c7h20w15-norm
edge pixels_1023          n1c3h31w33
edge many_images          n37c4h3w3-norm
edge long_pixels          n1c3h150w151
long longer_pixels        n1c2h300w310
layer vgg19.1_1           n1c64h224w224
layer vgg19.2_1           n1c128h112w112
layer vgg19.3_1           n1c256h56w56
layer vgg19.4_1           n1c512h28w28
layer vgg19.5_1           n1c512h14w14
huge pixels               n1c1h46341w46341
"""

_IM2COL = """
core 3x3                  n1c4h8w8-r3s3-st1-pd1
core 3x3_tail             n2c7h7w9-r3s3-st1-pd1
core 3x3_strided          n1c5h11w10-r3s3-st2-pd1
core 5x5                  n1c3h12w12-r5s5-st1-pd0
core 1x1                  n2c16h6w6-r1s1-st1-pd0
edge pixel                n1c1h1w1-r1s1-st1-pd0
edge pixel_3x3            n1c2h1w1-r3s3-st1-pd1
edge empty_batch          n0c3h4w4-r2s2-st1-pd0
edge kernel_over_image    n1c2h2w3-r5s5-st1-pd2
edge full                 n1c2h4w3-r3s2-st1-full
edge same_even            n1c3h7w8-r2s4-st1-same
edge same_strided         n1c2h10w9-r3s2-st3-same
edge asymmetric           n2c3h7w6-r3s3-st2x1-pt0pb2pl3pr1
edge dilated              n1c3h10w9-r3s2-st1-pd1-dl2x3
edge dilated_strided      n1c2h12w12-r3s3-st3x2-pd2-dl2x3
edge stride_over_kernel   n1c3h11w10-r2s2-st3-pd0
edge wide                 n1c2h1w300-r1s5-st1-pd0x2
edge many_images          n37c2h3w3-r2s2-st1-pd0
long many_taps            n1c1h40w40-r20s20-st1-pd0
layer alexnet.c1          n1c3h227w227-r11s11-st4-pd0
layer vgg16.3_2           n1c256h56w56-r3s3-st1-pd1
huge pixels               n1c1h15448w15448-r3s3-st1-pd1
"""


_BATCH_NORM = """
core train                n2c8h7w6-train-weight-bias
core train_plain          n3c5h4w4-train
core train_epilogue       n2c6h5w7-train-weight-bias-residual-relu
core train_long           n4c3h24w23-train-weight-bias
core inference            n2c8h7w6-weight-bias
core inference_plain      n1c5h9w7
core inference_epilogue   n2c13h5w7-weight-bias-residual-relu
core inference_tanh       n2c4h6w6-weight-bias-tanh
edge train_two_values     n2c3h1w1-train-weight-bias
edge train_one_image      n1c4h3w5-train-weight-bias-sigmoid
edge train_one_channel    n2c1h9w7-train-bias
edge train_one_pixel      n37c19h1w1-train-weight-bias-residual
edge train_many_channels  n2c130h3w3-train-weight-bias
edge train_channels_67    n3c67h5w4-train-weight-residual-relu
edge train_row            n1c3h1w300-train-weight-bias
edge train_many_images    n70c3h3w3-train-weight-bias
edge train_chunks         n3c2h70w71-train-weight-bias
edge train_long_plane     n1c2h130w131-train-weight-bias
edge train_long_batch     n5000c3h1w1-train-weight-bias
edge empty_batch          n0c3h4w5-weight-bias-residual
edge pixel                n1c1h1w1-weight-bias
edge one_channel          n3c1h9w7-bias-relu
edge one_pixel            n37c19h1w1-weight-residual
edge channels_3           n2c3h20w21-weight-bias-residual
edge channels_130         n1c130h3w5-weight-bias-sigmoid
edge channels_1025        n2c1025h2w3-weight-bias
edge long_plane           n1c2h130w131-weight-bias-relu
layer resnet50.bn1_train  n2c64h112w112-train-weight-bias-relu
layer resnet50.2c_train   n2c256h56w56-train-weight-bias-residual-relu
layer resnet50.5c_train   n2c2048h7w7-train-weight-bias-residual-relu
layer resnet50.bn1        n1c64h112w112-weight-bias-relu
layer vgg16_bn.1_1        n1c64h224w224-weight-bias-relu
layer resnet50.5c         n1c2048h7w7-weight-bias-residual-relu
huge pixels               n1c1h46341w46341-train
"""

_BIAS_GRAD = """
core small                n2c8h7w6
core tail                 n3c19h7w5
core long                 n4c3h24w23
edge single               n1c1h1w1
edge empty_batch          n0c3h4w5
edge one_channel          n3c1h9w7
edge one_pixel            n37c19h1w1
edge channels_130         n2c130h3w3
edge channels_1025        n2c1025h2w3
edge many_images          n70c3h3w3
edge chunks               n3c2h70w71
edge long_plane           n1c2h130w131
edge long_batch           n5000c3h1w1
layer resnet50.stem       n2c64h112w112
layer resnet50.5c         n8c2048h7w7
huge pixels               n1c1h46341w46341
"""


_LRN = """
core alexnet              n1c16h6w7-size5-alpha0.0005-beta0.75-k2
core torch_defaults       n2c19h7w5-size5-alpha0.0001-beta0.75-k1
core strong               n2c12h5w9-size5-alpha2-beta0.75-k0.5
core three                n1c13h8w8-size3-alpha3-beta0.5-k1
core whole_power          n1c10h6w6-size3-alpha1.5-beta1-k1
core any_power            n2c11h7w6-size5-alpha2-beta0.6-k1
core even                 n1c9h6w7-size4-alpha1.5-beta0.75-k1
edge pixel                n1c1h1w1-size1-alpha0.5-beta0.75-k1
edge empty_batch          n0c3h4w4-size3-alpha1-beta0.75-k1
edge one_channel          n3c1h9w7-size5-alpha1-beta0.75-k1
edge two_channels         n2c2h5w5-size3-alpha1-beta0.75-k1
edge own_channel          n1c7h5w6-size1-alpha2-beta0.75-k1
edge size_2               n1c6h5w7-size2-alpha2-beta0.5-k0
edge size_over_channels   n2c4h5w5-size9-alpha3-beta0.75-k1
edge size_huge            n1c5h3w4-size1000-alpha500-beta0.75-k0
edge no_power             n1c5h3w4-size3-alpha1-beta0-k1
edge no_alpha             n1c5h3w4-size3-alpha0-beta0.75-k3
edge squared              n1c8h4w5-size5-alpha1-beta2-k1
edge steep                n2c6h3w4-size3-alpha1-beta3.2-k1
edge flat_power           n1c6h3w4-size3-alpha1-beta0.01-k1
edge large_sums           n1c6h5w4-size3-alpha90000000-beta0.9-k1
edge many_channels        n1c130h4w4-size5-alpha1-beta0.75-k1
edge window_32            n1c70h3w5-size32-alpha3-beta0.75-k1
edge window_33            n1c70h3w5-size33-alpha3-beta0.6-k1
edge window_34            n2c70h3w3-size34-alpha3-beta0.75-k1
edge window_200           n1c300h1w3-size200-alpha1-beta0.75-k1
edge many_pixels          n1c3h37w31-size5-alpha1-beta0.75-k1
edge many_images          n37c4h3w3-size3-alpha1-beta0.75-k1
edge amplifies            n1c7h3w5-size3-alpha1-beta-0.6-k1
edge size_over_all        n1c70h2w3-size2147483647-alpha2147483647-beta0.75-k1
long window_1200          n1c1200h1w1-size2400-alpha1-beta3-k0
layer alexnet.lrn1        n1c96h55w55-size5-alpha0.0005-beta0.75-k2
layer alexnet.lrn2        n1c256h27w27-size5-alpha0.0005-beta0.75-k2
layer googlenet.lrn1      n1c64h56w56-size5-alpha0.0001-beta0.75-k1
layer googlenet.lrn2      n1c192h56w56-size5-alpha0.0001-beta0.75-k1
huge pixels               n1c1h46341w46341-size5-alpha0.0001-beta0.75-k1
"""

_CROSS_ENTROPY = """
core digits               n32c10
core digits_each          n2c10-none
core digits_sum           n5c10-sum-ignored
core smoothed             n9c12-smooth0.1
core many_classes         n3c300
core many_classes_each    n2c300-smooth0.2-none-ignored
core segmentation         n2c21h9w7-ignored
core segmentation_each    n2c5h8w8-none
core segmentation_smooth  n1c7h13w11-smooth0.1-sum
edge one_class            n5c1
edge two_classes          n1c2-none
edge empty_batch          n0c5
edge empty_batch_sum      n0c5-sum
edge empty_batch_each     n0c5h3w4-none
edge only_ignored         n1c4-sum-ignored
edge all_smooth           n3c5-smooth1-none
edge one_pixel_rows       n70c3h2w1-none
edge classes_63           n3c63-none
edge classes_64           n65c64-none
edge classes_65           n67c65-smooth0.1-none
edge classes_127          n2c127-smooth0.1-none
edge classes_1024         n2c1024-none
edge classes_1025         n2c1025-smooth0.1-none
edge classes_5000         n1c5000
edge apart_130            n1c130h3w5-smooth0.5-none
edge pixels_65            n2c3h13w5-none
edge many_images          n37c4h3w3
edge many_positions       n4100c3
edge many_pixels          n3c2h61w67-sum-ignored
long positions            n60000c2-sum
long pixels               n1c3h160w170-ignored
layer imagenet            n32c1000
layer cifar               n128c10
layer voc                 n1c21h129w129-ignored
huge classes              n1c2147483648
"""


def _read(op: str, text: str) -> tuple[Problem, ...]:
    rows = (line.split() for line in text.splitlines() if line)
    return tuple(parse(op, line, name=name, tags=frozenset([tag])) for tag, name, line in rows)


PROBLEMS: dict[str, tuple[Problem, ...]] = {
    "conv2d": _read("conv2d", _CONV2D + networks.CONV2D),
    "pool2d": _read("pool2d", _POOL2D + networks.POOL2D),
    "gram": _read("gram", _GRAM),
    "im2col": _read("im2col", _IM2COL),
    "conv_transpose2d": _read("conv_transpose2d", _CONV_TRANSPOSE2D),
    "linear": _read("linear", _LINEAR),
    "batch_norm": _read("batch_norm", _BATCH_NORM),
    "bias_grad": _read("bias_grad", _BIAS_GRAD),
    "adaptive_pool2d": _read("adaptive_pool2d", _ADAPTIVE_POOL2D),
    "lrn": _read("lrn", _LRN),
    "cross_entropy": _read("cross_entropy", _CROSS_ENTROPY),
}


def problems(op: str, *tags: str) -> tuple[Problem, ...]:
    """The rows of an op that have one of the tags (all rows where none is given).

    >>> problems("conv2d", "layer")[4].line
    'n1c3h227w227-k96r11s11-st4-pd0-bias-relu'
    """
    if op not in PROBLEMS:
        raise ValueError(f"op is {op!r}, known are {', '.join(PROBLEMS)}")
    return tuple(row for row in PROBLEMS[op] if not tags or row.tags & set(tags))
