// Products of an ECP5 in LUTs: a carry chain adds two rows of a product, and its own LUTs make the
// rows. Yosys alone makes each bit of a row a LUT: four times as many in all.

(* techmap_celltype = "$__lut_mul" *)
module lut_mul (A, B, Y);
parameter A_SIGNED = 0;
parameter B_SIGNED = 0;
parameter A_WIDTH = 1;
parameter B_WIDTH = 1;
parameter Y_WIDTH = 1;
input [A_WIDTH-1:0] A;
input [B_WIDTH-1:0] B;
output [Y_WIDTH-1:0] Y;

// Both signed; the narrower one has an even number of bits, a row each.
localparam SWAP = A_WIDTH > B_WIDTH;
localparam EXTRA = A_SIGNED ? 0 : 1;
localparam NARROW = (SWAP ? B_WIDTH : A_WIDTH) + EXTRA;
localparam ROWS = NARROW + NARROW % 2;
localparam WIDTH = (SWAP ? A_WIDTH : B_WIDTH) + EXTRA;
wire signed [ROWS-1:0] few;
wire signed [WIDTH-1:0] many;
wire signed [ROWS+WIDTH-1:0] product;
wire signed [A_WIDTH+EXTRA-1:0] a = A_SIGNED ? A : {1'b0, A};
wire signed [B_WIDTH+EXTRA-1:0] b = A_SIGNED ? B : {1'b0, B};
generate
	if (SWAP) begin
		assign few = b;
		assign many = a;
	end else begin
		assign few = a;
		assign many = b;
	end
endgenerate
\$__lut_rows #(.ROWS(ROWS), .WIDTH(WIDTH), .LAST(1)) rows (.A(few), .B(many), .Y(product));
assign Y = product;
endmodule

// The sum of an even number of rows. Bit i of A says whether B is added, 2**i times; the LAST row
// is that of the sign, and is taken away.
(* techmap_celltype = "$__lut_rows" *)
module lut_rows (A, B, Y);
parameter ROWS = 2;
parameter WIDTH = 1;
parameter LAST = 0;
input [ROWS-1:0] A;
input [WIDTH-1:0] B;
output [ROWS+WIDTH-1:0] Y;
localparam BITS = ROWS + WIDTH;
localparam LOW = ROWS > 8 ? 8 : ROWS > 4 ? 4 : 2;
genvar i;
generate
	if (ROWS == 2) begin
		localparam CELLS = (BITS + 1) / 2;
		wire [2*CELLS-1:0] sum;
		wire [CELLS:0] carry;
		wire signed [BITS+1:0] row = $signed(B);
		assign carry[0] = LAST;
		assign Y = sum;
		for (i = 0; i < CELLS; i = i + 1) begin
			CCU2C #(
				.INIT0(LAST ? 16'h8777 : 16'h7888), .INIT1(LAST ? 16'h8777 : 16'h7888),
				.INJECT1_0("NO"), .INJECT1_1("NO")
			) add (
				.CIN(carry[i]),
				.A0(A[1]), .B0(i == 0 ? 1'b0 : row[2*i-1]), .C0(A[0]), .D0(row[2*i]),
				.A1(A[1]), .B1(row[2*i]), .C1(A[0]), .D1(row[2*i+1]),
				.S0(sum[2*i]), .S1(sum[2*i+1]), .COUT(carry[i+1])
			);
		end
	end else begin
		wire signed [LOW+WIDTH-1:0] low;
		wire signed [BITS-LOW-1:0] high;
		\$__lut_rows #(.ROWS(LOW), .WIDTH(WIDTH), .LAST(0)) lower (.A(A[LOW-1:0]), .B(B), .Y(low));
		\$__lut_rows #(.ROWS(ROWS-LOW), .WIDTH(WIDTH), .LAST(LAST)) upper (.A(A[ROWS-1:LOW]), .B(B), .Y(high));
		wire signed [BITS-LOW-1:0] upmost = $signed(low[LOW+WIDTH-1:LOW]);
		assign Y = {high + upmost, low[LOW-1:0]};
	end
endgenerate
endmodule
