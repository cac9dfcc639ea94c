"""More layers of real networks, for the benchmark: it validates each before it times it.

The tests walk the "layer" rows of the problem table, a choice of these shapes. GoogLeNet's 4b to 4d
lie between 4a and 4e, 5a between 4e and 5b; ResNet-50 is torchvision's (stride in the 3x3).
"""

CONV2D = """
network alexnet.c5_g2        n1c384h13w13-k256r3s3-st1-pd1-g2-bias-relu
network alexnet1t.c2         n1c64h27w27-k192r5s5-st1-pd2-bias-relu
network alexnet1t.c3         n1c192h13w13-k384r3s3-st1-pd1-bias-relu
network alexnet1t.c4         n1c384h13w13-k256r3s3-st1-pd1-bias-relu
network vgg16.1_2            n1c64h224w224-k64r3s3-st1-pd1-bias-relu
network vgg16.2_1            n1c64h112w112-k128r3s3-st1-pd1-bias-relu
network vgg16.2_2            n1c128h112w112-k128r3s3-st1-pd1-bias-relu
network vgg16.3_1            n1c128h56w56-k256r3s3-st1-pd1-bias-relu
network vgg16.4_1            n1c256h28w28-k512r3s3-st1-pd1-bias-relu
network vgg16.4_2            n1c512h28w28-k512r3s3-st1-pd1-bias-relu
network resnet50.2b_3x3      n1c64h56w56-k64r3s3-st1-pd1
network resnet50.2a_256-64   n1c256h56w56-k64r1s1-st1-pd0
network resnet50.3a_256-128  n1c256h56w56-k128r1s1-st1-pd0
network resnet50.3d_256-512s2 n1c256h56w56-k512r1s1-st2-pd0
network resnet50.3c_128-512  n1c128h28w28-k512r1s1-st1-pd0
network resnet50.3a_512-128  n1c512h28w28-k128r1s1-st1-pd0
network resnet50.4a_512-256  n1c512h28w28-k256r1s1-st1-pd0
network resnet50.4b_3x3s2    n1c256h28w28-k256r3s3-st2-pd1
network resnet50.4b_3x3      n1c256h14w14-k256r3s3-st1-pd1
network resnet50.4c_256-1024 n1c256h14w14-k1024r1s1-st1-pd0
network resnet50.4a_1024-256 n1c1024h14w14-k256r1s1-st1-pd0
network resnet50.4d_512-1024s2 n1c512h28w28-k1024r1s1-st2-pd0
network resnet50.5a_1024-512 n1c1024h14w14-k512r1s1-st1-pd0
network resnet50.5b_3x3s2    n1c512h14w14-k512r3s3-st2-pd1
network resnet50.5d_1024-2048s2 n1c1024h14w14-k2048r1s1-st2-pd0
network googlenet.2_1x1      n1c64h56w56-k64r1s1-st1-pd0-bias-relu
network googlenet.2_3x3      n1c64h56w56-k192r3s3-st1-pd1-bias-relu
network googlenet.3a_1x1     n1c192h28w28-k64r1s1-st1-pd0-bias-relu
network googlenet.3a_3x3r    n1c192h28w28-k96r1s1-st1-pd0-bias-relu
network googlenet.3a_3x3     n1c96h28w28-k128r3s3-st1-pd1-bias-relu
network googlenet.3a_5x5r    n1c192h28w28-k16r1s1-st1-pd0-bias-relu
network googlenet.3a_proj    n1c192h28w28-k32r1s1-st1-pd0-bias-relu
network googlenet.3b_1x1     n1c256h28w28-k128r1s1-st1-pd0-bias-relu
network googlenet.3b_3x3     n1c128h28w28-k192r3s3-st1-pd1-bias-relu
network googlenet.3b_5x5     n1c32h28w28-k96r5s5-st1-pd2-bias-relu
network googlenet.4a_1x1     n1c480h14w14-k192r1s1-st1-pd0-bias-relu
network googlenet.4a_3x3     n1c96h14w14-k208r3s3-st1-pd1-bias-relu
network googlenet.4a_5x5     n1c16h14w14-k48r5s5-st1-pd2-bias-relu
network googlenet.4e_1x1     n1c528h14w14-k256r1s1-st1-pd0-bias-relu
network googlenet.4e_3x3     n1c160h14w14-k320r3s3-st1-pd1-bias-relu
network googlenet.4e_5x5     n1c32h14w14-k128r5s5-st1-pd2-bias-relu
network googlenet.5b_1x1     n1c832h7w7-k384r1s1-st1-pd0-bias-relu
network googlenet.5b_3x3     n1c192h7w7-k384r3s3-st1-pd1-bias-relu
network googlenet.5b_5x5     n1c48h7w7-k128r5s5-st1-pd2-bias-relu
network nin.c1               n1c3h224w224-k96r11s11-st4-pd0-bias-relu
network nin.cccp1            n1c96h54w54-k96r1s1-st1-pd0-bias-relu
network nin.c2               n1c96h27w27-k256r5s5-st1-pd2-bias-relu
network nin.cccp3            n1c256h27w27-k256r1s1-st1-pd0-bias-relu
network nin.cccp5            n1c384h13w13-k384r1s1-st1-pd0-bias-relu
network nin.c4               n1c384h6w6-k1024r3s3-st1-pd1-bias-relu
network nin.cccp7            n1c1024h6w6-k1024r1s1-st1-pd0-bias-relu
network nin.cccp8            n1c1024h6w6-k1000r1s1-st1-pd0-bias-relu
network mobilenet.dw128_56   n1c128h56w56-k128r3s3-st1-pd1-g128
network mobilenet.dw128_56s2 n1c128h56w56-k128r3s3-st2-pd1-g128
network mobilenet.dw256_28   n1c256h28w28-k256r3s3-st1-pd1-g256
network mobilenet.dw1024_7   n1c1024h7w7-k1024r3s3-st1-pd1-g1024
"""

POOL2D = """
network lenet.s4             avg-n1c16h10w10-r2s2-st2-pd0
network alexnet.pool5        max-n1c256h13w13-r3s3-st2-pd0
network vgg16.pool3          max-n1c256h56w56-r2s2-st2-pd0
network vgg16.pool5          max-n1c512h14w14-r2s2-st2-pd0
network googlenet.pool1      max-n1c64h112w112-r3s3-st2-pd0-ceil
network googlenet.4a_pool    max-n1c480h14w14-r3s3-st1-pd1
network nin.pool1            max-n1c96h54w54-r3s3-st2-pd0-ceil
network nin.avg              avg-n1c1000h6w6-r6s6-st1-pd0
"""
