// FOLD adds the lanes of Z0, Z2, Z4, Z6 into X0.
#define FOLD \
	VEXTRACTF64X4 $1, Z0, Y1; \
	VEXTRACTF64X4 $1, Z2, Y3; \
	VEXTRACTF64X4 $1, Z4, Y5; \
	VEXTRACTF64X4 $1, Z6, Y7; \
	VADDPS        Y1, Y0, Y0; \
	VADDPS        Y3, Y2, Y2; \
	VADDPS        Y5, Y4, Y4; \
	VADDPS        Y7, Y6, Y6; \
	VHADDPS       Y2, Y0, Y0; \
	VHADDPS       Y6, Y4, Y4; \
	VHADDPS       Y4, Y0, Y0; \
	VEXTRACTF128  $1, Y0, X1; \
	VADDPS        X1, X0, X0
